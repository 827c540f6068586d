public import Enrollment
public import FixedMemory

/// The result of a request.
public enum HelperStatus: UInt8, Error, Sendable {
  case done = 0

  /// The message is not a request, or its length is wrong.
  case malformed = 1

  /// The helper lacks this version of the protocol.
  case unknownVersion = 2

  case unknownRequest = 3

  /// The host has no register, or the helper does not serve the place of enrollments.
  case unavailable = 4

  /// The request failed. The answer contains the reason.
  case failed = 5

  /// The code was refused. The answer contains a ``CheckedCode``.
  case refused = 6

  /// The user is proved not to be enrolled.
  case absent = 7

  /// The policy of the host does not allow the request.
  case forbidden = 8

  /// The ticket is missing, expired, or belongs to an earlier credential.
  case noTicket = 9
}

/// An answer of `twofactor-helper`.
public struct HelperAnswer: ~Copyable {
  /// The result.
  public let status: HelperStatus

  /// Without its length. Read the body with a ``MessageReader``.
  public let message: SecretBuffer

  /// Parses an answer with its length; nil if invalid, or memory is short.
  public init?(parsing bytes: Span<UInt8>) {
    let rest = bytes.slice(from: HelperMessage.prefixLength)
    guard let length = HelperMessage.length(bytes.slice(from: 0, to: HelperMessage.prefixLength)),
      rest.count == length, rest.byte(at: 0) == HelperMessage.version,
      let status = rest.byte(at: 1).flatMap(HelperStatus.init(rawValue:)),
      var message = SecretBuffer(capacity: length), message.append(rest)
    else { return nil }
    self.status = status
    self.message = message
  }

  /// The status of an encoded answer.
  public static func status(of encoded: Span<UInt8>) -> HelperStatus {
    encoded.byte(at: HelperMessage.prefixLength &+ 1).flatMap(HelperStatus.init(rawValue:)) ?? .failed
  }

  /// The reason and description of a failure; nil unless the status is ``HelperStatus/failed``.
  public var reason: EnrollmentFailure.Reason? {
    var reader = MessageReader()
    let code = reader.byte(of: message.bytes)
    return status == .failed ? EnrollmentFailure.Reason(code: code) : nil
  }

  /// The description of a failure in English; empty if memory was exhausted.
  public var text: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      var reader = MessageReader()
      let bytes = message.bytes
      _ = reader.byte(of: bytes)
      return reader.rest(of: bytes)
    }
  }

  /// An answer without a body, with its length. Nil if memory is short, as below.
  public static func encoded(_ status: HelperStatus) -> SecretBuffer? {
    MessageWriter(status.rawValue, capacity: 1)?.finish()
  }

  /// The answer for a failure.
  public static func encoded(_ failure: EnrollmentFailure) -> SecretBuffer? {
    var text = ByteText(capacity: 255)
    failure.describe(into: &text)
    return encoded(failure.reason, text)
  }

  /// The answer for a failure with a description.
  public static func encoded(_ reason: EnrollmentFailure.Reason, _ text: borrowing ByteText) -> SecretBuffer? {
    guard var writer = MessageWriter(HelperStatus.failed.rawValue, capacity: 1 &+ text.count) else { return nil }
    writer.add(reason.code)
    writer.add(rest: text.bytes)
    return writer.finish()
  }
}

extension EnrollmentFailure.Reason {
  fileprivate var code: UInt8 {
    switch self {
    case .insecure: 1
    case .corrupt: 2
    case .io: 3
    case .absent: 4
    case .missing: 5
    case .gone: 6
    case .configuration: 7
    }
  }

  fileprivate init?(code: UInt8) {
    switch code {
    case 1: self = .insecure
    case 2: self = .corrupt
    case 3: self = .io
    case 4: self = .absent
    case 5: self = .missing
    case 6: self = .gone
    case 7: self = .configuration
    default: return nil
    }
  }
}
