import CSystem
import Foundation
import Testing

/// Dialogues with shell scripts (`csystem_start_dialogue()`). `first_login/test_dialogue.py` tests whole logins.
@Suite struct DialogueTests {
  @Test func theProgramGetsItsArgumentsInOrder() throws {
    let dialogue = try Dialogue("echo $#; for each; do echo \"$each\"; done", words: ["enroll=offer", "", "two words"])
    #expect((0..<6).map { _ in dialogue.line() } == ["5", "login-enrollment", "form", "enroll=offer", "", "two words"])
    #expect(dialogue.end() == 0)
  }

  @Test func linesComeOneAfterTheOther() throws {
    let dialogue = try Dialogue("printf 'one\\n\\nth'; sleep 0.1; printf 'ree\\nrest'")
    #expect((0..<3).map { _ in dialogue.line() } == ["one", "", "three"])
    #expect(dialogue.line() == nil && csystem_errno() == ECONNRESET)
    #expect(dialogue.end() == 0)
  }

  @Test func aLineMayFillTheBufferAndNoMore() throws {
    let dialogue = try Dialogue("echo 12345; echo 123456; read line; exec cat /dev/zero")
    #expect(dialogue.line(capacity: 5) == "12345")
    #expect(dialogue.line(capacity: 5) == nil && csystem_errno() == EMSGSIZE)
    let endless = try Dialogue("exec tr '\\0' x </dev/zero")
    #expect(endless.line() == nil && csystem_errno() == EMSGSIZE)
    #expect(dialogue.end() == 0 && endless.end() == 0)
  }

  @Test func aLineMayContainAnyByteExceptALineFeed() throws {
    let dialogue = try Dialogue("printf 'a\\0\\r\\033\\377\\n'")
    #expect(dialogue.bytes() == [0x61, 0, 0x0d, 0x1b, 0xff])
    #expect(dialogue.end() == 0)
  }

  @Test func aLineThatIsLateTimesOut() throws {
    let dialogue = try Dialogue("printf begun; read line; echo \" $line\"")
    #expect(dialogue.line(timeout: 50) == nil && csystem_errno() == ETIMEDOUT)
    #expect(dialogue.line(timeout: 0) == nil && csystem_errno() == ETIMEDOUT)
    #expect(dialogue.end() == 0)
  }

  @Test func bytesDoNotExtendTheTimeout() throws {
    let dialogue = try Dialogue("while printf x; do sleep 0.02; done")
    let start = ContinuousClock.now
    #expect(dialogue.line(timeout: 300) == nil && csystem_errno() == ETIMEDOUT)
    #expect(ContinuousClock.now - start < .seconds(5))
    #expect(dialogue.end() == 0)
  }

  @Test func linesGoBothWays() throws {
    let dialogue = try Dialogue("while read -r line; do echo \"<$line>\"; done")
    for text in ["", "123 456", String(repeating: "x", count: 513)] {
      #expect(dialogue.send(text))
      #expect(dialogue.line() == "<\(text)>")
    }
    #expect(dialogue.end() == 0)
  }

  @Test func aProgramThatDoesNotReadBlocksNothing() throws {
    let dialogue = try Dialogue("read line; echo read; exec sleep 60")
    #expect(dialogue.send("once") && dialogue.line() == "read")
    let text = String(repeating: "x", count: 1000)
    #expect((0..<10_000).contains { _ in !dialogue.send(text) })
    #expect(dialogue.end(patience: 0) == ETIMEDOUT)
  }

  @Test func aProgramThatHasEndedGetsNoLine() throws {
    let dialogue = try Dialogue("exit 3")
    #expect(dialogue.line() == nil && csystem_errno() == ECONNRESET)
    #expect(!dialogue.send("text"))
    #expect(dialogue.end() == 0)
  }

  @Test func theEndOfTheDialogueEndsTheInput() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "dialogue-\(UUID())")
    defer { try? FileManager.default.removeItem(at: file) }
    let dialogue = try Dialogue("echo started; cat; echo ended >\(file.path)")
    #expect(dialogue.line() == "started")
    #expect(dialogue.end() == 0)
    #expect(try String(contentsOf: file, encoding: .utf8) == "ended\n")
  }

  @Test func aProgramThatDoesNotEndIsKilled() throws {
    let dialogue = try Dialogue("trap '' TERM HUP INT; echo $$; while :; do sleep 1; done")
    let process = try #require(dialogue.line().flatMap { pid_t($0) })
    let start = ContinuousClock.now
    #expect(dialogue.end(patience: 200) == ETIMEDOUT)
    #expect((.milliseconds(200) ..< .seconds(5)).contains(ContinuousClock.now - start))
    #expect(kill(process, 0) == -1 && csystem_errno() == ESRCH)
  }

  @Test(arguments: [("/no/such/program", ENOENT), ("/etc/passwd", EACCES), ("/etc", EACCES)])
  func aProgramThatCannotBeStartedIsAnErrorAtTheEnd(path: String, error: Int32) throws {
    let dialogue = try Dialogue(path: path)
    #expect(dialogue.line() == nil && csystem_errno() == ECONNRESET)
    #expect(dialogue.end() == error)
  }

  @Test func dialoguesAtOnceAreIndependent() async throws {
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<16 {
        group.addTask {
          let dialogue = try Dialogue("read line; echo \"$line\"")
          let isRight = dialogue.send("\(number)") && dialogue.line() == "\(number)"
          return dialogue.end() == 0 && isRight
        }
      }
      for try await isRight in group { #expect(isRight) }
    }
  }
}

/// A dialogue with a program. Call `end()` once.
private final class Dialogue {
  private var dialogue = csystem_dialogue()
  private var script: URL?

  convenience init(_ script: String, words: [String] = []) throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "dialogue-\(UUID())")
    // Another process writes the script: a program of a test that starts meanwhile would inherit the open file, and the
    // kernel does not run a file that is open for writing.
    let request = Array("cat >\(file.path) <<'END'\n#!/bin/sh\n\(script)\nEND\nchmod 700 \(file.path)\n".utf8)
    // SAFETY: the array has this length; there is no account, and no answer.
    var account = unsafe csystem_account()
    var answer: UInt8 = 0
    try #require(unsafe csystem_run_helper("/bin/sh", nil, &account, request, request.count, &answer, 0, 10_000) == 0)
    try self.init(path: file.path, words: words)
    self.script = file
  }

  init(path: String, words: [String] = []) throws {
    let copies = unsafe words.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    let pointers = unsafe copies.map { unsafe UnsafePointer($0) }
    // SAFETY: an empty account; all strings are NUL-terminated and outlive the call.
    var account = unsafe csystem_account()
    let status = unsafe csystem_start_dialogue(&dialogue, path, &account, "form", pointers, Int32(words.count))
    try #require(status == 0)
  }

  deinit {
    if let script { try? FileManager.default.removeItem(at: script) }
  }

  /// Nil with errno set on failure.
  func bytes(capacity: Int = 1024, timeout: Int32 = 10_000) -> [UInt8]? {
    var line = [UInt8](repeating: 0, count: capacity)
    // SAFETY: the array has this capacity.
    let count = unsafe csystem_read_line(&dialogue, &line, capacity, timeout)
    return count < 0 ? nil : Array(line.prefix(Int(count)))
  }

  func line(capacity: Int = 1024, timeout: Int32 = 10_000) -> String? {
    bytes(capacity: capacity, timeout: timeout).map { String(decoding: $0, as: UTF8.self) }
  }

  func send(_ text: String) -> Bool {
    let line = Array("\(text)\n".utf8)
    // SAFETY: the array has this length.
    return unsafe csystem_send_line(&dialogue, line, line.count) == 0
  }

  func end(patience: Int32 = 10_000) -> Int32 {
    // SAFETY: the dialogue is open.
    unsafe csystem_end_dialogue(&dialogue, patience)
  }
}
