internal import FixedMemory
internal import LoginPolicy

extension Outcome {
  /// Adds what the user is told; nothing for most. Who is wrong or unknown is told nothing that helps in guessing.
  ///
  /// - Parameters:
  ///   - text: Where it is added.
  ///   - moment: When the user last got in, where that was by a backup code, in seconds since the epoch; else 0.
  func appendMessage(to text: inout ByteText, backupCodeUsedAt moment: Int64) {
    switch self {
    case .accepted(.backupCode(let left)):
      text.append(decimal: Int64(left))
      text.append(" backup codes left. Create new ones with: twofactor backup-codes")
    case .accepted(.totp) where moment > 0, .accepted(.hotp) where moment > 0:
      text.append("A backup code was used on ")
      CalendarDay(of: moment).append(to: &text)
      text.append(".")
    case .accepted, .exempt: break
    case .exemptUntil(let day):
      text.append("Two-factor authentication will be required from ")
      day.append(to: &text)
      text.append(". Switch it on with: twofactor enable")
    case .denied(let denial):
      switch denial {
      case .reusedCode: text.append("This code was already used. Wait for the next one.")
      case .throttled(let seconds):
        text.append("Too many failed codes. Try again in ")
        text.append(decimal: seconds)
        text.append(" seconds.")
      case .locked, .failure, .configuration, .outOfMemory:
        text.append("Two-factor authentication could not be checked. Contact the administrator.")
      case .wrongCode, .outsideWindow, .notEnrolled, .unknownUser, .noReply, .noConversation, .malformedReply: break
      }
    }
  }

  /// Whether a question may still bring a code: what an earlier password held was none, or was not right.
  var isWorthAsking: Bool {
    switch self {
    case .denied(.wrongCode), .denied(.reusedCode), .denied(.outsideWindow), .denied(.noReply),
      .denied(.malformedReply), .denied(.unknownUser), .denied(.notEnrolled), .denied(.throttled), .denied(.locked):
      true
    default: false
    }
  }

  /// Whether the code was right, only not now: already used, or of another time.
  var isOfRightCode: Bool {
    switch self {
    case .denied(.reusedCode), .denied(.outsideWindow): true
    default: false
    }
  }

  /// Whether the message says why the user is refused.
  var isRefusal: Bool {
    if case .denied = self { true } else { false }
  }
}
