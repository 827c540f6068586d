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
      policy = try readPolicy()
    } catch {
      var detail = Outcome.Detail()
      error.describe(into: &detail)
      return .denied(.configuration(detail))
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

    if policy.passesUnenrolled, let account, let outcome = outcomeBeforeQuestion(account, policy) { return outcome }

    do throws(PAMTransaction.ConversationFailure) {
      let answer = try transaction.ask(policy.prompt, echoes: policy.echoesCode, limit: Reply.maximumLength)
      // An application may change the user while it asks; the code would then be for somebody else.
      guard transaction.knownUser().bytes.isEqualInConstantTime(to: name.bytes) else {
        return Outcome(EnrollmentFailure(.configuration, "user", "was changed during the conversation"))
      }
      return outcome(of: answer, account, policy)
    } catch {
      switch error {
      case .failed: return .denied(.noConversation)
      case .outOfMemory: return Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
      }
    }
  }

  private func readPolicy() throws(PolicyProblem) -> Policy {
    var parser = PolicyParser()
    var indices = Counter(to: arguments.count)
    while let index = indices.next() { try parser.read(arguments.argument(at: index).bytes) }
    return parser.policy
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

  /// With `nullok`: whether the user is proved not to be enrolled, or cannot be checked. Nil where the user is
  /// enrolled. Nothing secret is read, and nothing is kept open.
  private func outcomeBeforeQuestion(_ account: Account, _ policy: Policy) -> Outcome? {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory.bytes, account: account)
      _ = try EnrollmentDirectory(path, of: account, identity: &identity)
      return nil
    } catch {
      return error.reason == .absent ? .exempt(why: "not enrolled") : Outcome(error)
    }
  }

  private func outcome(of answer: borrowing SecretBuffer, _ account: Account?, _ policy: Policy) -> Outcome {
    do throws(Reply.Problem) {
      let reply = try Reply(answer.bytes)
      SharedSecret.prepareLibrary()
      guard let account else {
        Decoy.check(reply, limits: policy.limits, now: now())
        return .denied(.unknownUser)
      }
      return outcome(of: reply, account, policy)
    } catch {
      // Those who have no account are told apart in the log alone.
      guard account != nil else { return .denied(.unknownUser) }
      switch error {
      case .empty: return .denied(.noReply)
      case .malformed: return .denied(.malformedReply)
      case .outOfMemory: return Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
      }
    }
  }

  private func outcome(of reply: borrowing Reply, _ account: Account, _ policy: Policy) -> Outcome {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory.bytes, account: account)
      let directory = try EnrollmentDirectory(path, of: account, identity: &identity)
      let check = try CodeCheck(reply, in: directory, limits: policy.limits, clock: { now() })
      return Outcome(check)
    } catch {
      if error.reason == .absent { Decoy.check(reply, limits: policy.limits, now: now()) }
      return Outcome(error)
    }
  }

  /// Seconds since the epoch (time(2)).
  private func now() -> Int64 { Int64(time(nil)) }
}

extension Outcome {
  fileprivate init(_ check: CodeCheck) {
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
