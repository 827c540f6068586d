internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Asking for the code, and what becomes of the answer.
extension Login {
  /// Asks, or takes the code from the end of an earlier password, and decides.
  mutating func outcomeOfQuestion(
    _ account: borrowing Account, _ user: borrowing ByteText, _ policy: borrowing Policy
  ) -> Outcome {
    if policy.password.isTriedFirst || policy.password.isUsedAlone {
      let outcome = outcomeOfEarlierPassword(account, policy)
      if policy.password.isUsedAlone || !outcome.isWorthAsking { return outcome }
    }
    do throws(PAMTransaction.ConversationFailure) {
      let isForwarding = policy.password.isForwarded
      let answer = try unsafe transaction.ask(
        prompt(policy), echoes: policy.echoesCode && !isForwarding,
        limit: isForwarding ? PAMTransaction.maximumAnswer : Reply.maximumLength)
      // An application may change the user while it asks; the code would then be for somebody else. A name that was cut
      // is nobody's, and stays so.
      let known = transaction.knownUser
      let comparable = user.isTruncated ? known.slice(from: 0, to: user.count) : known
      guard comparable.isEqualInConstantTime(to: user.bytes) else {
        return Outcome(EnrollmentFailure(.configuration, "user", "was changed during the conversation"))
      }
      return isForwarding ? outcomeOfPassword(answer, account, policy) : outcomeOfReply(answer, account, policy)
    } catch {
      switch error {
      case .failed: return .denied(.noConversation)
      case .outOfMemory: return Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
      }
    }
  }

  /// What the user is asked with, NUL-terminated. It lives as long as the policy.
  private func prompt(_ policy: borrowing Policy) -> UnsafePointer<CChar> {
    if let prompt = unsafe policy.promptString { return unsafe prompt }
    let usual: Literal = policy.password.isForwarded ? "Password & verification code: " : "Verification code: "
    return unsafe usual.cString
  }

  private mutating func outcomeOfReply(
    _ answer: borrowing SecretBuffer, _ account: borrowing Account, _ policy: borrowing Policy
  ) -> Outcome {
    do throws(Reply.Problem) {
      let reply = try Reply(answer.bytes)
      return outcome(of: reply, account, policy)
    } catch {
      // Those who have no account are told apart in the log alone.
      guard account.isKnown else { return .denied(.unknownUser) }
      return Outcome(error)
    }
  }

  private mutating func outcome(
    of reply: borrowing Reply, _ account: borrowing Account, _ policy: borrowing Policy
  ) -> Outcome {
    guard account.isKnown else {
      Decoy.check(reply, limits: policy.limits, now: SystemClock.now)
      return .denied(.unknownUser)
    }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory, account: account)
      let directory = try EnrollmentDirectory(path, of: account, identity: &identity)
      let check = try CodeCheck(reply, in: directory, limits: policy.limits, graceKey: transaction.graceKey(policy))
      return self.outcome(of: check)
    } catch {
      if error.reason == .absent { Decoy.check(reply, limits: policy.limits, now: SystemClock.now) }
      return outcome(of: error, account, policy, &identity)
    }
  }

  /// What a failure of the files means. Files that are found erased are no damage where the enrolment has been
  /// switched off since its directory was opened: it has lost its name before it was erased.
  @inline(never)
  mutating func outcome(
    of failure: EnrollmentFailure, _ account: borrowing Account, _ policy: borrowing Policy,
    _ identity: inout FileSystemIdentity
  ) -> Outcome {
    guard failure.reason == .corrupt else { return Outcome(failure) }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory, account: account)
      _ = try EnrollmentDirectory(path, of: account, identity: &identity)
      return Outcome(failure)
    } catch {
      return Outcome(error.reason == .absent ? error : failure)
    }
  }
}
