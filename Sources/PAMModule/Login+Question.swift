internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

extension Login {
  /// Prompts for a code, or takes it from the end of an earlier password, and verifies it. With an `exemption`, only
  /// forwards the password.
  mutating func outcomeOfQuestion(
    _ account: borrowing Account, _ user: borrowing ByteText, _ policy: borrowing Policy, exemption: Outcome?
  ) -> Outcome {
    if policy.password.isTriedFirst || policy.password.isUsedAlone {
      let outcome = outcomeOfEarlierPassword(account, policy, exemption)
      if policy.password.isUsedAlone || !outcome.isWorthAsking { return outcome }
    }
    do throws(PAMTransaction.ConversationFailure) {
      let isForwarding = policy.password.isForwarded
      let answer = try transaction.ask(
        prompt(policy), echoes: policy.echoesCode && !isForwarding,
        limit: isForwarding ? PAMTransaction.maximumAnswer : Reply.maximumLength)
      // The application may change PAM_USER during the conversation.
      let known = transaction.knownUser
      let comparable = user.isTruncated ? known.slice(from: 0, to: user.count) : known
      guard comparable.isEqualInConstantTime(to: user.bytes) else {
        return Outcome(EnrollmentFailure(.configuration, "user", "was changed during the conversation"))
      }
      return isForwarding
        ? outcomeOfPassword(answer, account, policy, exemption) : outcomeOfReply(answer, account, policy)
    } catch {
      switch error {
      case .failed: return .denied(.noConversation)
      case .outOfMemory: return Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
      }
    }
  }

  private func prompt(_ policy: borrowing Policy) -> ByteText {
    var prompt = ByteText(capacity: 128)
    prompt.append(policy.prompt)
    if prompt.count == 0 {
      prompt.append(policy.password.isForwarded ? "Password & verification code: " : "Verification code: ")
    }
    return prompt
  }

  /// Verifies the code in the password of an earlier module.
  private mutating func outcomeOfEarlierPassword(
    _ account: borrowing Account, _ policy: borrowing Policy, _ exemption: Outcome?
  ) -> Outcome {
    guard let password = transaction.password(limit: PAMTransaction.maximumAnswer) else {
      if policy.password.isUsedAlone, let exemption { return exemption }
      return account.isKnown ? .denied(.refused(.noReply)) : .denied(.unknownUser)
    }
    return outcomeOfPassword(password, account, policy, exemption)
  }

  /// Verifies a password with a code at its end. Forwards the password whatever the verdict, so that the next module
  /// does not reveal it. Returns `exemption`, if any.
  private mutating func outcomeOfPassword(
    _ text: borrowing SecretBuffer, _ account: borrowing Account, _ policy: borrowing Policy, _ exemption: Outcome?
  ) -> Outcome {
    var codeLength = 0
    var outcome = outcomeOfCode(
      atEndOf: text, codeLength: &codeLength, account, policy, countsFailure: exemption == nil)
    let flags = CheckFlags.endOfPassword
    askHelper(
      &outcome, text.bytes, exemption == nil ? flags : flags.union(.uncounted), account, policy,
      codeLength: &codeLength)
    if let exemption {
      // The end of an ordinary password may look like a code.
      if case .accepted = outcome { tell(outcome) } else { codeLength = 0 }
      outcome = exemption
    }
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- codeLength)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }
}
