internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Programs that do not run as root, such as screen lockers, and cannot search the host store: `twofactor-helper` opens
/// it for their own user (`pam/helper-protocol.md`).
extension Login {
  /// Lets the helper verify a reply, or the code at the end of a password, with the limits of `twofactor.conf`. An
  /// empty text only finds out if the user is enrolled.
  ///
  /// Does nothing, and returns false, unless `outcome` is that this process could not open the host store, and does not
  /// run as root. Costs root nothing.
  @inline(never)
  @discardableResult
  mutating func askHelper(
    _ outcome: inout Outcome, _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account,
    _ policy: borrowing Policy, codeLength: inout Int
  ) -> Bool {
    guard case .denied(.failure(let failure)) = outcome, failure.reason == .io, policy.isHostStore,
      UserID.effective != .root
    else { return false }
    outcome = outcomeOfHelper(text, flags, account, codeLength: &codeLength)
    if flags.isEndOfPassword, case .denied(.notEnrolled) = outcome { codeLength = Self.spendTime(on: text, policy) }
    return true
  }

  private mutating func outcomeOfHelper(
    _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account, codeLength: inout Int
  ) -> Outcome {
    // The helper acts for its real user alone.
    guard account.userID == .effective, account.userID.rawValue == getuid() else {
      return Self.failure("checks only the user of the program; the program must run as root for another user")
    }
    // Longer than any answer to `check`.
    guard let request = HelperRequest.check(text, flags.union(.hostStore)), var answer = SecretBuffer(capacity: 1024)
    else {
      return Self.failure("out of memory")
    }
    var path: Literal = "/usr/libexec/twofactor/twofactor-helper"
    if !Self.isHelper(path) { path = "/usr/local/libexec/twofactor/twofactor-helper" }
    guard Self.isHelper(path) else {
      return Self.failure("is not in /usr/libexec/twofactor or /usr/local/libexec/twofactor, as a file of root")
    }
    guard Self.run(path, request, into: &answer) else { return Self.failure("did not answer", error: .current) }
    guard let parsed = HelperAnswer(parsing: answer.bytes) else { return Self.invalidAnswer }
    return outcome(of: parsed, codeLength: &codeLength)
  }

  private mutating func outcome(of answer: borrowing HelperAnswer, codeLength: inout Int) -> Outcome {
    switch answer.status {
    case .done, .refused:
      guard let code = CheckedCode(answer) else { return Self.invalidAnswer }
      codeLength = Int(code.codeLength)
      return outcome(of: code)
    case .absent: return .denied(.notEnrolled)
    case .unavailable:
      return Self.failure("needs store=host in /etc/security/twofactor.conf, because it reads no module arguments")
    default:
      guard let reason = answer.reason else { return Self.invalidAnswer }
      words = ByteText(capacity: Outcome.wordsCapacity)
      words.append(answer.text)
      return .denied(.reported(reason))
    }
  }

  private mutating func outcome(of code: borrowing CheckedCode) -> Outcome {
    if let refusal = code.refusal { return .denied(.refused(refusal)) }
    if code.method == .backupCode { return .accepted(.backupCode(left: Int(code.backupCodesLeft))) }
    backupCodeUsedAt = code.backupCodeUsedAt
    words = ByteText(capacity: code.deviceName.count)
    words.append(code.deviceName)
    return .accepted(code.method == .hotp ? .hotp : .totp)
  }

  private static var invalidAnswer: Outcome {
    failure("gave no valid answer; install it and the module from the same version")
  }

  @inline(never)
  private static func failure(_ problem: Literal, error: Errno? = nil) -> Outcome {
    Outcome(EnrollmentFailure(.io, "twofactor-helper", problem, error: error))
  }

  /// Returns false with errno set on failure.
  private static func run(
    _ path: Literal, _ request: borrowing SecretBuffer, into answer: inout SecretBuffer
  ) -> Bool {
    let request = request.bytes
    // SAFETY: all memory outlives the call, which gets its size; the path is NUL-terminated.
    let count = unsafe answer.fill { answer in
      unsafe request.withUnsafeBufferPointer { request in
        let start = unsafe answer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        // The helper itself ends after ten seconds.
        return unsafe Int(
          csystem_run_helper(path.cString, request.baseAddress, request.count, start, answer.count, 10_000))
      }
    }
    return count >= 0
  }

  /// Whether nobody but root can have written the program. The package and scripts/install use different paths, and the
  /// module cannot know others.
  private static func isHelper(_ path: Literal) -> Bool {
    do throws(Errno) {
      // SAFETY: a literal is NUL-terminated.
      let status = try unsafe FileStatus(of: path.cString, followsSymlink: true)
      return TrustRule.file(of: .root).violation(of: status) == nil
    } catch {
      return false
    }
  }
}
