internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Enrollments that this process cannot open, but another program can (`pam/helper-protocol.md`).
///
/// `twofactor-helper` opens enrollments
///
/// - in the host store and in PostgreSQL, if a program that does not run as root, such as a screen locker, checks its
///   own user,
/// - in a home that the kernel shows only to processes of its user, as FUSE does without `allow_other`. Root starts the
///   helper as the user.
///
/// `twofactor-store-postgresql` opens those in PostgreSQL for root, so that the process that logs users in loads no
/// library of a database.
extension Login {
  /// Lets a program verify a reply, or the code at the end of a password: the helper with the limits of
  /// `twofactor.conf`, the store program with those of the policy. With an empty text, the outcome shows only whether
  /// the user is enrolled, and whether a grace period applies.
  ///
  /// Does nothing, and returns false, unless the policy names PostgreSQL, or `outcome` is a failure to open such an
  /// enrollment.
  @inline(never)
  @discardableResult
  mutating func askHelper(
    _ outcome: inout Outcome, _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account,
    _ policy: borrowing Policy, codeLength: inout Int
  ) -> Bool {
    var program = Program.helper
    // The package and `scripts/install` use different paths.
    var (path, other): (Literal, Literal) = (
      "/usr/libexec/twofactor/twofactor-helper", "/usr/local/libexec/twofactor/twofactor-helper"
    )
    let isRoot = UserID.effective == .root
    if policy.isPostgreSQL, isRoot {
      program = .store
      (path, other) = (StoreProgramPath.first, StoreProgramPath.second)
    } else {
      // Exempt users need not type a code at the end of the password, but the helper would count a failure.
      guard case .denied(.failure(let failure)) = outcome, failure.reason == .io || policy.isPostgreSQL,
        flags.countsFailure
      else { return false }
      if isRoot {
        guard failure.error == .accessDenied, failure.isAboutHome, account.userID != .root,
          policy.directory.isEqual(to: EnrollmentPath.usualTemplate)
        else { return false }
        program = .helperOfUser
      } else {
        guard policy.isClosedToUsers else { return false }
      }
    }
    if !TrustRule.isProgramOfRoot(path) { path = other }
    // Without the helper, report the failure to open the home.
    let isThere = TrustRule.isProgramOfRoot(path)
    guard isThere || program != .helperOfUser else { return false }
    outcome =
      isThere
      ? outcomeOfProgram(program, path, text, flags, account, policy, codeLength: &codeLength)
      : program.failure(
        program == .store
          ? "is not installed, or others can change it"
          : "is not in /usr/libexec/twofactor or /usr/local/libexec/twofactor, as a file of root")
    switch outcome {
    case .denied(.failure), .denied(.reported): break
    case _ where !account.isKnown: outcome = .denied(.unknownUser)
    case .denied(.notEnrolled): codeLength = Self.spendTime(on: text, policy)
    case .denied: break
    default:
      guard isRoot else { break }
      do throws(EnrollmentFailure) {
        try HostStore.requirePresence(of: account.userID, false)
      } catch {
        outcome = Outcome(error)
      }
    }
    return true
  }

  private enum Program {
    /// Acts for the user of this process.
    case helper

    /// Runs as the user.
    case helperOfUser

    /// Runs as root.
    case store

    @inline(never)
    func failure(_ problem: Literal, error: Errno? = nil) -> Outcome {
      Outcome(
        EnrollmentFailure(
          .io, self == .store ? "twofactor-store-postgresql" : "twofactor-helper", problem, error: error))
    }
  }

  private mutating func outcomeOfProgram(
    _ program: Program, _ path: Literal, _ text: Span<UInt8>, _ flags: CheckFlags, _ account: borrowing Account,
    _ policy: borrowing Policy, codeLength: inout Int
  ) -> Outcome {
    // A helper that this process starts acts for the real user alone.
    guard program != .helper || account.userID == .effective && account.userID.rawValue == getuid() else {
      return program.failure("checks only the user of the program; the program must run as root for another user")
    }
    let message: SecretBuffer? =
      switch program {
      case .helper: HelperRequest.check(text, flags.union(.hostStore))
      case .helperOfUser: HelperRequest.check(text, flags.union(.home))
      case .store:
        LoginRequest.encoded(text, flags, policy.limits, gracePeriod: policy.gracePeriod, graceKey(policy))
      }
    // Longer than any answer to these requests.
    guard let request = message, var answer = SecretBuffer(capacity: 1024) else {
      return program.failure("out of memory")
    }
    guard Self.run(program, path, account, request, into: &answer) else {
      return program.failure("did not answer", error: .current)
    }
    guard let parsed = HelperAnswer(parsing: answer.bytes),
      let outcome = outcome(of: parsed, codeLength: &codeLength)
    else { return program.failure("gave no valid answer; install it and the module from the same version") }
    return outcome
  }

  /// Nil if the answer is invalid.
  private mutating func outcome(of answer: borrowing HelperAnswer, codeLength: inout Int) -> Outcome? {
    switch answer.status {
    case .done, .refused:
      guard let code = CheckedCode(answer) else { return nil }
      codeLength = Int(code.codeLength)
      return outcome(of: code)
    case .absent: return .denied(.notEnrolled)
    case .unavailable:
      return Program.helper.failure("reads no module arguments; set store in /etc/security/twofactor.conf")
    default:
      guard let reason = answer.reason else { return nil }
      words = ByteText(capacity: Outcome.wordsCapacity)
      words.append(answer.text)
      return .denied(.reported(reason))
    }
  }

  private mutating func outcome(of code: borrowing CheckedCode) -> Outcome {
    words = ByteText(capacity: code.deviceName.count)
    words.append(code.deviceName)
    if let refusal = code.refusal { return .denied(.refused(refusal)) }
    if code.method == .grace { return .accepted(.grace) }
    if code.method == .backupCode { return .accepted(.backupCode(left: Int(code.backupCodesLeft))) }
    backupCodeUsedAt = code.backupCodeUsedAt
    return .accepted(code.method == .hotp ? .hotp : .totp)
  }

  /// Runs the program. Returns false with errno set on failure.
  private static func run(
    _ program: Program, _ path: Literal, _ account: borrowing Account, _ request: borrowing SecretBuffer,
    into answer: inout SecretBuffer
  ) -> Bool {
    let request = request.bytes
    let isStore = program == .store
    // The user of su(1) can kill processes with that user's real user ID, so make root the real user, too.
    let (user, group) = isStore ? (0, 0) : (account.userID.rawValue, account.groupID.rawValue)
    // An account cannot have this name. Its request takes as long as that of a user who is not enrolled.
    let unknown: Literal = "-"
    // SAFETY: all memory outlives the call, which gets its size; the texts are NUL-terminated.
    return unsafe account.name.withCString { name in
      let count = unsafe answer.fill { answer in
        unsafe request.withUnsafeBufferPointer { request in
          let runner = unsafe isStore ? Literal("").cString : program == .helperOfUser ? name : nil
          var identity = unsafe csystem_account(name: runner, user: user, group: group)
          let argument = unsafe !isStore ? nil : account.isKnown ? name : unknown.cString
          let start = unsafe answer.baseAddress?.assumingMemoryBound(to: UInt8.self)
          // The programs end themselves after ten seconds, and the store program then answers.
          let timeout: Int32 = isStore ? 12_000 : 10_000
          return unsafe Int(
            csystem_run_helper(
              path.cString, argument, &identity, request.baseAddress, request.count, start, answer.count, timeout))
        }
      }
      return count >= 0
    }
  }
}
