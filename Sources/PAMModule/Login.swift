internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import OneTimePassword
internal import SystemFiles
internal import Verification

/// One call of pam_authenticate(3).
struct Login: ~Copyable {
  let transaction: PAMTransaction
  let arguments: ModuleArguments

  /// See ``Outcome/Words``.
  var words = ByteText()

  /// See ``CodeCheck/backupCodeUsedAt``.
  var backupCodeUsedAt: Int64 = 0

  init(transaction: PAMTransaction, arguments: ModuleArguments) {
    self.transaction = transaction
    self.arguments = arguments
  }

  /// Also logs the outcome and shows the message.
  mutating func run() -> PAMStatus {
    var user = ByteText(capacity: 255)
    let outcome = decide(&user)
    log(outcome, user)
    tell(outcome)
    return outcome.status
  }

  func log(_ outcome: Outcome, _ user: borrowing ByteText) {
    // SAFETY: `line` stays in the closure.
    unsafe ByteText.onStack(capacity: 1023) { line in
      // After an early failure, `user` is empty.
      let user = user.count > 0 ? user.bytes : transaction.knownUser
      outcome.appendLogLine(to: &line, user: user, remoteHost: transaction.remoteHost, words: words)
      transaction.log(outcome.priority, line)
    }
  }

  func tell(_ outcome: Outcome) {
    // SAFETY: `message` stays in the closure.
    unsafe ByteText.onStack(capacity: 255) { message in
      outcome.appendMessage(to: &message, backupCodeUsedAt: backupCodeUsedAt)
      if message.count > 0 { transaction.tell(message, isError: outcome.isDenial) }
    }
  }

  private mutating func decide(_ user: inout ByteText) -> Outcome {
    do throws(PolicyProblem) {
      let policy = try arguments.policy()
      return decide(&user, policy)
    } catch {
      return outcome(of: error)
    }
  }

  mutating func outcome(of problem: PolicyProblem) -> Outcome {
    words = ByteText(capacity: Outcome.wordsCapacity)
    guard words.hasMemory else { return .denied(.outOfMemory) }
    problem.describe(into: &words, path: arguments.policyFilePath)
    return .denied(problem.error == .outOfMemory ? .outOfMemory : .configuration)
  }

  private mutating func decide(_ user: inout ByteText, _ policy: borrowing Policy) -> Outcome {
    guard user.hasMemory else { return .denied(.outOfMemory) }
    // Check this before every exemption, and before pam_get_user(3), which may prompt.
    if policy.requiredMethods.count > 0, !hasPassed(anyOf: policy.requiredMethods) {
      delayFailure()
      return .denied(.methodRequired)
    }
    guard transaction.readUser(into: &user) else { return .denied(.noConversation) }
    var account = Account()
    if case .failed(let error) = account.find(named: user) { return Self.accountFailure(error) }
    if policy.isDebugging { logDetails(policy, account) }

    let early = outcomeBeforeQuestion(account, policy)
    if let early {
      if policy.isDebugging { logReason(early) }
      // Later modules need the password of exempt users, too.
      guard policy.password.isForwarded, !early.isDenial else { return registering(early, account, policy) }
    }
    delayFailure()
    SharedSecret.prepareLibrary()
    return registering(outcomeOfQuestion(account, user, policy, exemption: early), account, policy)
  }

  /// Registers the user after an accepted login, or after enrollment; remembers a user who is not enrolled, for the
  /// account phase. Returns the outcome.
  func registering(_ outcome: Outcome, _ account: borrowing Account, _ policy: borrowing Policy) -> Outcome {
    switch outcome {
    case .accepted:
      if !policy.isPostgreSQL { EnrollmentRegister.noteLogin(of: account.userID) }
      // From an earlier attempt, or before the enrollment. Otherwise, a further account rule would refuse the user.
      if transaction.unenrolledUser != nil { _ = transaction.remember(unenrolled: nil) }
    case .unenrolled, .exemptUntil:
      if !transaction.remember(unenrolled: account.userID) { return .denied(.outOfMemory) }
    default: break
    }
    return outcome
  }

  static func accountFailure(_ error: Errno) -> Outcome {
    Outcome(EnrollmentFailure(.io, "account", "cannot be looked up", error: error))
  }

  /// Hides the time of verification, which reveals who is enrolled (pam_fail_delay(3)). libpam derives its variation
  /// from the current second, so add a random part.
  private func delayFailure() {
    transaction.delayFailure(microseconds: 2_000_000 &+ csystem_random() % 500_000)
  }

  private func logReason(_ outcome: Outcome) {
    let why: Literal
    switch outcome {
    case .exempt(let reason): why = reason
    case .unenrolled: why = "not enrolled"
    default: return
    }
    // SAFETY: `line` stays in the closure.
    unsafe ByteText.onStack(capacity: 1023) { line in
      line.append("debug exempt: ")
      line.append(why)
      transaction.log(.debug, line)
    }
  }

  private func logDetails(_ policy: borrowing Policy, _ account: borrowing Account) {
    // SAFETY: `line` stays in the closure.
    unsafe ByteText.onStack(capacity: 1023) { line in
      line.append("debug window=")
      line.append(decimal: policy.limits.window)
      line.append(" look_ahead=")
      line.append(decimal: policy.limits.lookAhead)
      line.append(" max_failures=")
      line.append(decimal: UInt64(policy.limits.maximumFailures))
      line.append(policy.limits.acceptsBackupCodes ? " backup_codes=yes" : " backup_codes=no")
      line.append(policy.passesUnenrolled ? " nullok=yes" : " nullok=no")
      line.append(" directory=")
      line.append(escaped: policy.directory)
      if account.isKnown {
        line.append(" uid=")
        line.append(decimal: UInt64(account.userID.rawValue))
        line.append(" home=")
        line.append(escaped: account.home.bytes)
      }
      transaction.log(.debug, line)
    }
  }
}
