internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Enrollments that this process cannot open, but `twofactor-helper` can (`pam/helper-protocol.md`):
///
/// - in the host store, for a program that does not run as root, such as a screen locker, and its own user,
/// - in a home that the kernel shows only to processes of its user, as FUSE does without `allow_other`. Root starts the
///   helper as the user.
extension Login {
  /// Lets the helper verify a reply, or the code at the end of a password, with the limits of `twofactor.conf`. With
  /// an empty text, the outcome only shows whether the user is enrolled.
  ///
  /// Does nothing, and returns false, unless `outcome` is a failure to open such an enrollment.
  @inline(never)
  @discardableResult
  mutating func askHelper(
    _ outcome: inout Outcome, _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account,
    _ policy: borrowing Policy, codeLength: inout Int
  ) -> Bool {
    guard case .denied(.failure(let failure)) = outcome, failure.reason == .io else { return false }
    var path: Literal = "/usr/libexec/twofactor/twofactor-helper"
    var store = CheckFlags.hostStore
    if UserID.effective == .root {
      guard failure.error == .accessDenied, failure.isAboutHome, account.userID != .root,
        policy.directory.isEqual(to: EnrollmentPath.usualTemplate)
      else { return false }
      store = .home
    } else {
      guard policy.isHostStore else { return false }
    }
    if !Self.isProgram(path) { path = "/usr/local/libexec/twofactor/twofactor-helper" }
    // Without the helper, report the failure to open the home.
    let isThere = Self.isProgram(path)
    guard isThere || store.needsHostStore else { return false }
    outcome =
      isThere
      ? outcomeOfHelper(path, text, flags.union(store), account, codeLength: &codeLength)
      : Self.failure("is not in /usr/libexec/twofactor or /usr/local/libexec/twofactor, as a file of root")
    if flags.isEndOfPassword, case .denied(.notEnrolled) = outcome { codeLength = Self.spendTime(on: text, policy) }
    if store.needsHome, !outcome.isDenial {
      do throws(EnrollmentFailure) {
        try HostStore.requirePresence(of: account.userID, false)
      } catch {
        outcome = Outcome(error)
      }
    }
    return true
  }

  private mutating func outcomeOfHelper(
    _ path: Literal, _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account, codeLength: inout Int
  ) -> Outcome {
    // A helper that this process starts acts for the real user alone.
    guard flags.needsHome || account.userID == .effective && account.userID.rawValue == getuid() else {
      return Self.failure("checks only the user of the program; the program must run as root for another user")
    }
    // Longer than any answer to `check`.
    guard let request = HelperRequest.check(text, flags), var answer = SecretBuffer(capacity: 1024) else {
      return Self.failure("out of memory")
    }
    guard Self.run(path, flags.needsHome, account, request, into: &answer) else {
      return Self.failure("did not answer", error: .current)
    }
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
      return Self.failure("reads no module arguments; set store in /etc/security/twofactor.conf")
    default:
      guard let reason = answer.reason else { return Self.invalidAnswer }
      words = ByteText(capacity: Outcome.wordsCapacity)
      words.append(answer.text)
      return .denied(.reported(reason))
    }
  }

  private mutating func outcome(of code: borrowing CheckedCode) -> Outcome {
    words = ByteText(capacity: code.deviceName.count)
    words.append(code.deviceName)
    if let refusal = code.refusal { return .denied(.refused(refusal)) }
    if code.method == .backupCode { return .accepted(.backupCode(left: Int(code.backupCodesLeft))) }
    backupCodeUsedAt = code.backupCodeUsedAt
    return .accepted(code.method == .hotp ? .hotp : .totp)
  }

  private static var invalidAnswer: Outcome {
    failure("gave no valid answer; install it and the module from the same version")
  }

  @inline(never)
  private static func failure(_ problem: Literal, error: Errno? = nil) -> Outcome {
    Outcome(EnrollmentFailure(.io, "twofactor-helper", problem, error: error))
  }

  /// Runs the helper, as the account if `isRoot`. Returns false with errno set on failure.
  private static func run(
    _ path: Literal, _ isRoot: Bool, _ account: borrowing Account, _ request: borrowing SecretBuffer,
    into answer: inout SecretBuffer
  ) -> Bool {
    let request = request.bytes
    let (user, group) = (account.userID.rawValue, account.groupID.rawValue)
    // SAFETY: all memory outlives the call, which gets its size; the texts are NUL-terminated.
    return unsafe account.name.withCString { name in
      let count = unsafe answer.fill { answer in
        unsafe request.withUnsafeBufferPointer { request in
          var account = unsafe csystem_account(name: isRoot ? name : nil, user: user, group: group)
          let start = unsafe answer.baseAddress?.assumingMemoryBound(to: UInt8.self)
          // The helper itself ends after ten seconds.
          return unsafe Int(
            csystem_run_helper(path.cString, &account, request.baseAddress, request.count, start, answer.count, 10_000))
        }
      }
      return count >= 0
    }
  }

  /// Whether only root can write the program at a path. The package and `scripts/install` use different paths.
  static func isProgram(_ path: Literal) -> Bool {
    do throws(Errno) {
      // SAFETY: a literal is NUL-terminated.
      let status = try unsafe FileStatus(of: path.cString, followsSymlink: true)
      return TrustRule.file(of: .root).violation(of: status) == nil
    } catch {
      return false
    }
  }
}
