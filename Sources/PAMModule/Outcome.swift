internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import Verification

/// How an attempt to log in ended: what libpam, the log and the user are told.
enum Outcome {
  case accepted(Method)

  /// The user is not asked for a code; the reason is for the log of `debug`.
  case exempt(why: Literal)

  /// The user is not enrolled, and need not be before this day.
  case exemptUntil(CalendarDay)

  case denied(Denial)

  /// What let the user in.
  enum Method {
    case totp(device: DeviceNameText)
    case hotp(device: DeviceNameText)
    case backupCode(left: Int)

    /// A code that was accepted a short while ago.
    case grace
  }

  /// Why a user is refused.
  enum Denial {
    case wrongCode(failures: UInt32)
    case reusedCode
    case outsideWindow(steps: Int64)
    case throttled(seconds: Int64)
    case locked
    case notEnrolled
    case unknownUser
    case noReply

    /// The application could not ask.
    case noConversation

    case malformedReply
    case insecureFile(Detail)
    case corruptFile(Detail)
    case inputOutput(Detail)
    case configuration(Detail)
  }

  /// What the log says beside the reason.
  typealias Detail = ByteText<256>
}

extension Outcome {
  /// A reply that is not a code.
  init(_ problem: Reply.Problem) {
    switch problem {
    case .empty: self = .denied(.noReply)
    case .malformed: self = .denied(.malformedReply)
    case .outOfMemory: self = Outcome(EnrollmentFailure(.io, "reply", "out of memory"))
    }
  }

  /// A failure of the files of an enrolment.
  init(_ failure: EnrollmentFailure) {
    var detail = Detail()
    failure.describe(into: &detail)
    switch failure.reason {
    case .insecure: self = .denied(.insecureFile(detail))
    case .corrupt: self = .denied(.corruptFile(detail))
    case .io: self = .denied(.inputOutput(detail))
    case .absent, .gone: self = .denied(.notEnrolled)
    case .configuration: self = .denied(.configuration(detail))
    }
  }
}
