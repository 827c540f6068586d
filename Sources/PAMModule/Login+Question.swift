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

  /// Verifies the password that an earlier module asked for.
  private mutating func outcomeOfEarlierPassword(_ account: borrowing Account, _ policy: borrowing Policy) -> Outcome {
    guard let password = transaction.password(limit: PAMTransaction.maximumAnswer) else {
      return account.isKnown ? .denied(.refused(.noReply)) : .denied(.unknownUser)
    }
    return outcomeOfPassword(password, account, policy, isTrial: policy.password.isTriedFirst)
  }

  /// Verifies a password with a code at its end. With `forward_pass` the password is handed on whatever the verdict,
  /// so that the result of the next module does not reveal it.
  private mutating func outcomeOfPassword(
    _ text: borrowing SecretBuffer, _ account: borrowing Account, _ policy: borrowing Policy, isTrial: Bool = false
  ) -> Outcome {
    var codeLength = 0
    let outcome = outcomeOfCode(atEndOf: text, codeLength: &codeLength, account, policy, isTrial: isTrial)
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- codeLength)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }
}
