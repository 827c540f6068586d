internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import Verification

enum Outcome {
  case accepted(Method)

  /// `why` is logged with `debug`.
  case exempt(why: Literal)

  /// The first day on which the user must be enrolled.
  case exemptUntil(CalendarDay)

  /// The user is not enrolled, and passes authentication without a code.
  case unenrolled

  /// Enrollment at login was offered, but failed. ``Words`` contains the reason.
  case enrollmentPostponed

  case denied(Denial)

  enum Method {
    /// ``Words`` contains the device name.
    case totp
    case hotp
    case backupCode(left: Int)

    case grace

    /// In the account phase.
    case enrolled
  }

  enum Denial {
    /// ``Words`` contains the name of the device of a code outside the window.
    case refused(Refusal)
    case notEnrolled
    case unknownUser

    /// See ``Policy/requiredMethods``.
    case methodRequired

    case noConversation

    case enrollmentDeclined

    /// Enrollment is required, but failed. ``Words`` contains the reason.
    case enrollmentImpossible

    /// Something else enrolled the user during this login, which now needs a code.
    case enrolledMeanwhile

    case failure(EnrollmentFailure)

    /// A failure in the helper. ``Words`` contains its description.
    case reported(EnrollmentFailure.Reason)

    /// ``Words`` contains the error.
    case configuration

    case outOfMemory
  }

  /// Text for the log, kept apart because outcomes are copied often.
  typealias Words = ByteText

  static var wordsCapacity: Int { 255 }

  init(_ problem: Reply.Problem) {
    if let refusal = problem.refusal {
      self = .denied(.refused(refusal))
    } else {
      self = Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
    }
  }

  init(_ failure: EnrollmentFailure) {
    switch failure.reason {
    case .absent, .gone: self = .denied(.notEnrolled)
    default: self = .denied(.failure(failure))
    }
  }

  /// Nothing else maps decisions to PAM statuses.
  var status: PAMStatus {
    switch self {
    case .accepted: .success
    case .exempt, .exemptUntil, .unenrolled, .enrollmentPostponed: .ignore
    case .denied(let denial):
      switch denial {
      case .refused(let refusal):
        switch refusal.consequences.status {
        case .wrong: .authenticationError
        case .tooManyFailures: .maximumTries
        }
      case .notEnrolled, .unknownUser, .methodRequired: .authenticationError
      case .noConversation: .conversationError
      case .enrollmentDeclined, .enrollmentImpossible, .enrolledMeanwhile: .permissionDenied
      case .failure(let failure) where failure.reason == .configuration: .serviceError
      case .reported(.configuration): .serviceError
      case .failure, .reported, .outOfMemory: .informationUnavailable
      case .configuration: .serviceError
      }
    }
  }

  var isDenial: Bool {
    if case .denied = self { true } else { false }
  }

  /// Whether to prompt after the earlier password failed.
  var isWorthAsking: Bool {
    switch self {
    case .denied(.refused), .denied(.unknownUser), .denied(.notEnrolled): true
    default: false
    }
  }

  /// See ``CodeCheck/backupCodeUsedAt``.
  func appendMessage(to text: inout ByteText, backupCodeUsedAt moment: Int64) {
    switch self {
    case .accepted(.backupCode(let left)):
      text.append(decimal: Int64(left))
      text.append(" backup codes left. Create new ones with: twofactor backup-codes")
    case .accepted(.totp) where moment > 0, .accepted(.hotp) where moment > 0:
      text.append("A backup code was used on ")
      CalendarDay(of: moment).append(to: &text)
      text.append(".")
    case .exemptUntil(let day):
      text.append("Two-factor authentication will be required from ")
      day.append(to: &text)
      text.append(". Switch it on with: twofactor enable")
    case .denied(.refused(let refusal)): refusal.consequences.appendMessage(to: &text)
    case .denied(.failure), .denied(.reported), .denied(.configuration), .denied(.outOfMemory):
      text.append(Refusal.cannotCheck)
    case .denied(.enrollmentDeclined), .denied(.enrollmentImpossible): text.append("Two-factor login is required.")
    case .denied(.enrolledMeanwhile): text.append("Two-factor login was set up meanwhile.")
    case .accepted, .exempt, .unenrolled, .enrollmentPostponed, .denied: break
    }
  }

  /// Tells a user who was refused in the account phase what to do.
  var advice: Literal? {
    switch self {
    case .denied(.enrollmentDeclined): "To set up two-factor login, log in again."
    case .denied(.enrollmentImpossible): "Two-factor login cannot be set up in this login. Contact the administrator."
    case .denied(.enrolledMeanwhile): "Two-factor login is on now. Log in again, with a code."
    default: nil
    }
  }

  var priority: LogPriority {
    switch self {
    case .accepted, .exempt, .exemptUntil, .unenrolled, .enrollmentPostponed: .info
    case .denied(.failure), .denied(.reported), .denied(.configuration), .denied(.outOfMemory): .error
    case .denied: .notice
    }
  }

  func appendLogLine(
    to line: inout ByteText, user: Span<UInt8>, remoteHost: Span<UInt8>, words: borrowing Words
  ) {
    line.append(isDenial ? "denied user=" : "accepted user=")
    // A long name must not displace the reason.
    line.append(escaped: user, upTo: 256)
    line.append(" rhost=")
    line.append(escaped: remoteHost, upTo: 256)
    switch self {
    case .accepted(let method): method.append(to: &line, words)
    case .exempt, .exemptUntil, .unenrolled: line.append(" method=exempt")
    case .enrollmentPostponed:
      line.append(" method=exempt")
      line.append(detail: words)
    case .denied(let denial):
      line.append(" reason=")
      denial.append(to: &line, words)
      if case .refused(.outsideWindow) = denial, words.count > 0 { line.append(resyncOf: words, user) }
    }
  }
}

extension Outcome.Method {
  fileprivate func append(to line: inout ByteText, _ words: borrowing Outcome.Words) {
    switch self {
    case .totp:
      line.append(" method=totp device=")
      line.append(escaped: words.bytes)
    case .hotp:
      line.append(" method=hotp device=")
      line.append(escaped: words.bytes)
    case .backupCode(let left):
      line.append(" method=backup-code backup_codes_left=")
      line.append(decimal: Int64(left))
    case .grace: line.append(" method=grace")
    case .enrolled: line.append(" method=enrolled")
    }
  }
}

extension ByteText {
  /// Appends the device of a code outside the window, and the command that helps.
  fileprivate mutating func append(resyncOf device: borrowing ByteText, _ user: Span<UInt8>) {
    append(" device=")
    append(escaped: device.bytes)
    // SAFETY: `detail` stays in the closure.
    unsafe ByteText.onStack(capacity: 511) { detail in
      detail.append("twofactor device resync --user ")
      detail.append(user)
      detail.append(" ")
      // Root may paste the command into a shell, but the user chose the name.
      let quote: Literal = device.bytes.firstIndex(of: UInt8(ascii: "'")) == nil ? "'" : ""
      detail.append(quote)
      if quote.byteCount > 0 { detail.append(device.bytes) } else { detail.append("NAME") }
      detail.append(quote)
      append(detail: detail)
    }
  }
}

extension Outcome.Denial {
  fileprivate func append(to line: inout ByteText, _ words: borrowing Outcome.Words) {
    switch self {
    case .refused(let refusal): refusal.consequences.appendLogFields(to: &line)
    case .notEnrolled: line.append("not-enrolled")
    case .unknownUser: line.append("unknown-user")
    case .methodRequired: line.append("method-required")
    case .noConversation, .enrolledMeanwhile: line.append(Refusal.noReply.consequences.reason)
    case .enrollmentDeclined: line.append("enrollment-declined")
    case .enrollmentImpossible:
      line.append("not-enrolled")
      line.append(detail: words)
    case .failure(let failure):
      // SAFETY: `detail` stays in the closure.
      unsafe ByteText.onStack(capacity: Outcome.wordsCapacity) { detail in
        failure.describe(into: &detail)
        line.append(failure.reason.name)
        line.append(detail: detail)
      }
    case .reported(let reason):
      line.append(reason.name)
      line.append(detail: words)
    case .configuration:
      line.append("configuration")
      line.append(detail: words)
    case .outOfMemory where words.count == 0: line.append("io-error detail=\"out of memory\"")
    case .outOfMemory:
      line.append("io-error")
      line.append(detail: words)
    }
  }
}

extension EnrollmentFailure.Reason {
  /// `reason=` in the log.
  fileprivate var name: Literal {
    switch self {
    case .insecure: "insecure-file"
    case .corrupt: "corrupt-file"
    case .io: "io-error"
    case .configuration: "configuration"
    case .missing: "missing-enrollment"
    case .absent, .gone: "not-enrolled"
    }
  }
}
