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
      case .insecureFile, .corruptFile, .inputOutput: .informationUnavailable
      case .configuration: .serviceError
      }
    }
  }
}
