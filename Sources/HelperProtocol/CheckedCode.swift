public import FixedMemory
public import Verification

/// The answer to ``HelperRequest/check``.
public struct CheckedCode: ~Copyable {
  /// What was accepted.
  public enum Method: UInt8, Sendable {
    case totp = 1
    case hotp = 2
    case backupCode = 3

    /// No code: a grace period applies.
    case grace = 4
  }

  /// Nil if the code was refused.
  public var method: Method?

  /// Nil if the code was accepted.
  public var refusal: Refusal?

  /// After an accepted backup code; else 0.
  public var backupCodesLeft: UInt8 = 0

  /// The length of the code at the end of the text, or of the text that looks like one, in bytes.
  public var codeLength: UInt8 = 0

  /// See ``CodeCheck/backupCodeUsedAt``.
  public var backupCodeUsedAt: Int64 = 0

  /// The distance of an accepted code from the expected time step or counter; negative if late.
  public var offset: Int64 = 0

  /// The time step of all devices in seconds; 0 if they differ, or for HOTP.
  public var period: Int64 = 0

  /// The device of the accepted code, or of one outside the window; else empty.
  public var deviceName = ByteText()

  /// Allows a change; empty if the code was kept or refused, or checked for a login.
  public var ticket = ByteText()

  /// Creates an answer to fill.
  public init() {}

  /// The whole answer with its length; nil if memory is short.
  public var encoded: SecretBuffer? {
    let status: HelperStatus = refusal == nil ? .done : .refused
    guard var writer = MessageWriter(status.rawValue, capacity: 256) else { return nil }
    writer.add(method?.rawValue ?? refusal?.code ?? 0)
    writer.add(number: refusal?.encodedNumber ?? 0)
    writer.add(backupCodesLeft)
    writer.add(codeLength)
    writer.add(number: UInt64(bitPattern: backupCodeUsedAt))
    writer.add(number: UInt64(bitPattern: offset))
    writer.add(number: UInt64(bitPattern: period))
    writer.add(field: deviceName.bytes)
    writer.add(field: ticket.bytes)
    return writer.finish()
  }

  /// Parses an answer of status ``HelperStatus/done`` or ``HelperStatus/refused``; nil if invalid.
  public init?(_ answer: borrowing HelperAnswer) {
    let message = answer.message.bytes
    var reader = MessageReader()
    let code = reader.byte(of: message)
    let number = reader.number(of: message)
    switch answer.status {
    case .done:
      guard let known = Method(rawValue: code) else { return nil }
      method = known
    case .refused:
      guard let known = Refusal(code: code, number: number) else { return nil }
      refusal = known
    default: return nil
    }
    backupCodesLeft = reader.byte(of: message)
    codeLength = reader.byte(of: message)
    backupCodeUsedAt = Int64(bitPattern: reader.number(of: message))
    offset = Int64(bitPattern: reader.number(of: message))
    period = Int64(bitPattern: reader.number(of: message))
    deviceName = ByteText(copying: reader.field(of: message))
    ticket = ByteText(copying: reader.field(of: message))
    guard reader.isComplete(message) else { return nil }
  }
}

extension ByteText {
  @inline(never)
  fileprivate init(copying bytes: Span<UInt8>) {
    self.init(capacity: bytes.count)
    append(bytes)
  }
}

extension Refusal {
  var code: UInt8 {
    switch self {
    case .noReply: 1
    case .malformedReply: 2
    case .wrongCode: 3
    case .wrongBackupCode: 4
    case .outsideWindow: 5
    case .reusedCode: 6
    case .reusedBackupCode: 7
    case .throttled: 8
    case .locked: 9
    }
  }

  var encodedNumber: UInt64 {
    switch self {
    case .wrongCode(let failures), .wrongBackupCode(let failures): UInt64(failures)
    case .outsideWindow(let steps, _): UInt64(bitPattern: steps)
    case .throttled(let seconds): UInt64(bitPattern: seconds)
    case .noReply, .malformedReply, .reusedCode, .reusedBackupCode, .locked: 0
    }
  }

  init?(code: UInt8, number: UInt64) {
    switch code {
    case 1: self = .noReply
    case 2: self = .malformedReply
    case 3: self = .wrongCode(failures: UInt32(truncatingIfNeeded: number))
    case 4: self = .wrongBackupCode(failures: UInt32(truncatingIfNeeded: number))
    case 5: self = .outsideWindow(steps: Int64(bitPattern: number))
    case 6: self = .reusedCode
    case 7: self = .reusedBackupCode
    case 8: self = .throttled(seconds: Int64(bitPattern: number))
    case 9: self = .locked
    default: return nil
    }
  }
}
