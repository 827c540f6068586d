internal import Enrollment

extension Outcome {
  /// What libpam is told. This is the only place that turns a decision into a number, and PAM_SUCCESS and
  /// PAM_IGNORE stand in it once each.
  var status: PAMStatus {
    switch self {
    case .accepted: .success
    case .exempt, .exemptUntil: .ignore
    case .denied(let denial):
      switch denial {
      case .wrongCode, .reusedCode, .outsideWindow, .notEnrolled, .unknownUser, .noReply, .malformedReply:
        .authenticationError
      case .throttled, .locked: .maximumTries
      case .noConversation: .conversationError
      case .failure(let failure) where failure.reason == .configuration: .serviceError
      case .failure, .outOfMemory: .informationUnavailable
      case .configuration: .serviceError
      }
    }
  }
}
