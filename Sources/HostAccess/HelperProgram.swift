import CSystem
import FixedMemory
import Glibc
import HelperProtocol
import SystemFiles

/// A program that carries out one request for the command, and answers it (`pam/helper-protocol.md`).
package struct HelperProgram {
  /// The program of the store on PostgreSQL.
  package static let storeName = "twofactor-store-postgresql"

  /// The paths of the store program that logins try, in their order.
  package static var storePaths: [String] {
    [StoreProgramPath.first, StoreProgramPath.second].map { String(decoding: $0.bytes) }
  }

  package let name: String

  /// Nil unless root owns the program and no other user can write it.
  let path: String?

  /// The user whom the request is about; nil for the calling user, or for a request about no user.
  let user: String?

  /// In milliseconds; the programs time out after ten seconds.
  private static let timeout: Int32 = 15_000

  /// `twofactor-helper`, which acts for the calling user. It is installed beside the command:
  /// `PREFIX/libexec/twofactor/twofactor-helper` for `PREFIX/bin/twofactor`.
  package static var helper: HelperProgram {
    HelperProgram(name: "twofactor-helper", path: pathBesideCommand.flatMap(trusted), user: nil)
  }

  /// `twofactor-store-postgresql`, which acts for root, about the user with this name.
  package static func store(of user: String?) -> HelperProgram {
    HelperProgram(name: storeName, path: storePaths.lazy.compactMap(trusted).first, user: user)
  }

  private var installation: String { "the package " + (name == Self.storeName ? name : "again") }

  /// Sends an encoded request. A nil request means that memory was short.
  ///
  /// - Throws: ``SetupError`` if there is no answer, or the program does not know the request.
  package func ask(_ request: consuming SecretBuffer?) throws -> HelperAnswer {
    guard let path else {
      throw SetupError(
        .configuration, "\(name) is not installed", hint: "the administrator can install \(installation)")
    }
    guard let request, var answer = SecretBuffer(capacity: HelperMessage.prefixLength + HelperMessage.maximumLength)
    else { throw SetupError.outOfMemory }
    guard run(path, request.bytes, into: &answer) else {
      throw SetupError(.inputOutput, "\(path) did not answer: \(Errno.current.text)")
    }
    let invalid: [HelperStatus] = [.malformed, .unknownVersion, .unknownRequest]
    guard let parsed = HelperAnswer(parsing: answer.bytes), !invalid.contains(parsed.status) else {
      throw SetupError(
        .configuration, "\(path) gave no valid answer", hint: "the administrator can install \(installation)")
    }
    return parsed
  }

  /// Returns false with errno set on failure.
  private func run(_ path: String, _ request: Span<UInt8>, into answer: inout SecretBuffer) -> Bool {
    // SAFETY: all memory outlives the call, which gets its size; path and user are NUL-terminated.
    let count = unsafe answer.fill { answer in
      unsafe request.withUnsafeBufferPointer { request in
        var caller = unsafe csystem_account()
        let start = unsafe answer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        return unsafe Int(
          csystem_run_helper(
            path, user, &caller, request.baseAddress, request.count, start, answer.count, Self.timeout))
      }
    }
    return count >= 0
  }

  private static func trusted(_ path: String) -> String? {
    // SAFETY: the path is NUL-terminated.
    guard let status = try? unsafe FileStatus(of: path, followsSymlink: false),
      TrustRule.file(of: .root).violation(of: status) == nil
    else { return nil }
    return path
  }

  private static var pathBesideCommand: String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: readlink(2) leaves the last byte of the buffer, which stays NUL.
    guard unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0 else { return nil }
    let folders = String(terminated: buffer).split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    return folders.joined(separator: "/") + "/libexec/twofactor/twofactor-helper"
  }
}
