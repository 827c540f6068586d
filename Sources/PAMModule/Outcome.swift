internal import Enrollment
internal import FixedMemory

/// How an attempt to log in ended: what libpam, the log and the user are told.
enum Outcome {
  case accepted(Method)

  /// The user is not asked for a code.
  case exempt(why: Literal)

  case denied(Denial)

  /// What let the user in.
  enum Method {
    case totp(device: DeviceNameText)
    case hotp(device: DeviceNameText)
    case backupCode(left: Int)
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
