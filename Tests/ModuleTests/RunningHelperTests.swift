import CSystem
import Foundation
import Testing

/// `csystem_run_helper()` in this process. `test_running_the_helper.py` has hosts with other signals and descriptors.
@Suite struct RunningHelperTests {
  /// The answer, or an error number.
  private func answer(
    of path: String, to request: [UInt8] = Array("request".utf8), capacity: Int = 4096, timeout: Int32 = 10_000
  ) -> Result<[UInt8], Failure> {
    var answer = [UInt8](repeating: 0, count: capacity)
    // SAFETY: the path is NUL-terminated, and both arrays have the sizes that are passed.
    var account = unsafe csystem_account()
    let count = unsafe csystem_run_helper(path, nil, &account, request, request.count, &answer, capacity, timeout)
    return count < 0 ? .failure(Failure(number: csystem_errno())) : .success(Array(answer.prefix(Int(count))))
  }

  struct Failure: Error, Equatable {
    let number: Int32
  }

  @Test func theAnswerIsWhatTheProgramWrites() {
    #expect(answer(of: "/bin/cat") == .success(Array("request".utf8)))
    #expect(answer(of: "/bin/cat", to: []) == .success([]))
    #expect(answer(of: "/bin/true") == .success([]))
    #expect(answer(of: "/bin/false", to: Array(repeating: 0, count: 1 << 20)) == .success([]))
  }

  @Test func anAnswerMayFillTheBufferAndNoMore() {
    #expect(answer(of: "/bin/cat", capacity: 7) == .success(Array("request".utf8)))
    #expect(answer(of: "/bin/cat", capacity: 6) == .failure(Failure(number: EMSGSIZE)))
    #expect(answer(of: "/bin/cat", capacity: 0) == .failure(Failure(number: EMSGSIZE)))
    #expect(answer(of: "/usr/bin/yes") == .failure(Failure(number: EMSGSIZE)))
  }

  @Test func aProgramThatCannotBeStartedIsAnError() {
    #expect(answer(of: "/no/such/program") == .failure(Failure(number: ENOENT)))
    #expect(answer(of: "/etc/passwd") == .failure(Failure(number: EACCES)))
  }

  @Test func aProgramThatDoesNotEndTimesOut() throws {
    let script = FileManager.default.temporaryDirectory.appending(path: "helper-\(UUID())")
    try Data("#!/bin/sh\nexec sleep 60\n".utf8).write(to: script)
    defer { try? FileManager.default.removeItem(at: script) }
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: script.path)
    #expect(answer(of: script.path, timeout: 100) == .failure(Failure(number: ETIMEDOUT)))
  }

  @Test func callsAtOnceGetTheirOwnAnswers() async {
    await withTaskGroup(of: Bool.self) { group in
      for number in UInt8(0)..<32 {
        group.addTask { self.answer(of: "/bin/cat", to: [number]) == .success([number]) }
      }
      for await isRight in group { #expect(isRight) }
    }
  }
}
