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
    /// A device, whose name is among the ``Words``.
    case totp
    case hotp
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

    /// The files of the enrolment, or what is needed to get at them.
    case failure(EnrollmentFailure)

    /// What is wrong with the configuration stands in the ``Words``.
    case configuration

    /// There is no memory for reading the configuration.
    case outOfMemory
  }

  /// What the log says beside the outcome: the name of the device, or what is wrong with the configuration. Apart from
  /// it, since an outcome goes through many hands.
  typealias Words = ByteText

  /// Room for the words: for the longest name of a device, and for what is wrong with a file.
  static var wordsCapacity: Int { 255 }
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
    switch failure.reason {
    case .absent, .gone: self = .denied(.notEnrolled)
    default: self = .denied(.failure(failure))
    }
  }
}
