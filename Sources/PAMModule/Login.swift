internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import OneTimePassword
internal import Verification

/// One call of pam_authenticate(3), from the arguments to the answer. The way has no return: policy, account,
/// question, files, verdict, log.
struct Login {
  let transaction: PAMTransaction
  let arguments: ModuleArguments

  /// Decides, logs, tells the user, and answers.
  func run() -> PAMStatus {
    var user = transaction.knownUser()
    let outcome = decide(&user)
    transaction.log(outcome.priority, outcome.logLine(user: user, remoteHost: transaction.remoteHost()))
    let message = outcome.message
    if message.count > 0 { transaction.tell(message, isError: outcome.isRefusal) }
    return outcome.status
  }

  private func decide(_ user: inout ByteText<256>) -> Outcome {
    let policy: Policy
    do throws(PolicyProblem) {
      policy = try arguments.policy()
    } catch {
      var detail = Outcome.Detail()
      error.describe(into: &detail, path: arguments.policyFile().path.bytes)
      // A host that is short of memory is not one that is configured wrongly.
      return .denied(error.error == ENOMEM ? .inputOutput(detail) : .configuration(detail))
    }

    guard let name = transaction.user() else { return .denied(.noConversation) }
    user = name

    let account: Account?
    switch Account.named(name) {
    case .found(let found): account = found
    case .unknown: account = nil
    case .failed(let error):
      return Outcome(EnrollmentFailure(.io, "account", "cannot be looked up", error: error))
    }
    if policy.isDebugging { logDetails(policy, account) }

    if let outcome = outcomeBeforeQuestion(account, policy) {
      if policy.isDebugging, case .exempt(let why) = outcome { logReason(why) }
      return outcome
    }
    // Failures are answered late, whichever module of the stack they come from (pam_fail_delay(3)), and so much later
    // than two seconds as nobody can foresee: libpam varies the delay by the second in which a login began, which
    // is no secret. What the time of an answer would tell about who is enrolled is lost in it.
    transaction.delayFailure(microseconds: 2_000_000 &+ csystem_random() % 500_000)
    SharedSecret.prepareLibrary()
    return outcomeOfQuestion(account, name, policy)
  }

  /// With `debug`: why the user is not asked.
  private func logReason(_ why: Literal) {
    var line = ByteText<1024>()
    line.append("debug exempt: ")
    line.append(why)
    transaction.log(.debug, line)
  }

  /// With `debug`: what the attempt is judged by. Nothing that a user keeps secret is known yet.
  private func logDetails(_ policy: Policy, _ account: Account?) {
    var line = ByteText<1024>()
    line.append("debug window=")
    line.append(decimal: policy.limits.window)
    line.append(" look_ahead=")
    line.append(decimal: policy.limits.lookAhead)
    line.append(" max_failures=")
    line.append(decimal: UInt64(policy.limits.maximumFailures))
    line.append(policy.limits.acceptsBackupCodes ? " backup_codes=yes" : " backup_codes=no")
    line.append(policy.passesUnenrolled ? " nullok=yes" : " nullok=no")
    line.append(" directory=")
    line.append(escaped: policy.directory.bytes)
    if let account {
      line.append(" uid=")
      line.append(decimal: UInt64(account.userID))
      line.append(" home=")
      line.append(escaped: account.home.bytes)
    }
    transaction.log(.debug, line)
  }
}

extension Outcome {
  /// What became of a code.
  init(_ check: CodeCheck) {
    switch check.verdict {
    case .acceptedCode where check.isCounterBased: self = .accepted(.hotp(device: check.deviceName))
    case .acceptedCode: self = .accepted(.totp(device: check.deviceName))
    case .acceptedBackupCode: self = .accepted(.backupCode(left: check.backupCodesLeft))
    case .wrongCode(let failures): self = .denied(.wrongCode(failures: failures))
    case .outsideWindow(let steps): self = .denied(.outsideWindow(steps: steps))
    case .reusedCode: self = .denied(.reusedCode)
    case .throttled(let seconds): self = .denied(.throttled(seconds: seconds))
    case .locked: self = .denied(.locked)
    }
  }
}
