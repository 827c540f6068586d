public import FixedMemory
public import Verification

/// The answer to ``HelperRequest/resync``.
public enum ResyncAnswer {
  /// The whole answer with its length; nil if memory is short.
  public static func encoded(_ verdict: ResyncVerdict) -> SecretBuffer? {
    guard verdict != .found else { return HelperAnswer.encoded(.done) }
    guard var writer = MessageWriter(HelperStatus.refused.rawValue, capacity: 16) else { return nil }
    writer.add(verdict.code)
    writer.add(number: verdict.encodedNumber)
    return writer.finish()
  }

  /// The verdict of an answer of status ``HelperStatus/done`` or ``HelperStatus/refused``; nil if invalid.
  public static func verdict(of answer: borrowing HelperAnswer) -> ResyncVerdict? {
    let message = answer.message.bytes
    var reader = MessageReader()
    if answer.status == .done { return reader.isComplete(message) ? .found : nil }
    guard answer.status == .refused else { return nil }
    let code = reader.byte(of: message)
    let number = reader.number(of: message)
    return reader.isComplete(message) ? ResyncVerdict(code: code, number: number) : nil
  }
}

extension ResyncVerdict {
  /// The codes of ``Refusal``, and further ones.
  fileprivate var code: UInt8 {
    switch self {
    case .found: 0
    case .refused(let refusal): refusal.code
    case .noDevice: 10
    case .sameCode: 11
    case .wrongOrder: 12
    case .used: 13
    case .counterLost: 14
    }
  }

  fileprivate var encodedNumber: UInt64 {
    switch self {
    case .refused(let refusal): refusal.encodedNumber
    case .wrongOrder(let failures): UInt64(failures)
    case .used(let until): UInt64(bitPattern: until)
    case .found, .noDevice, .sameCode, .counterLost: 0
    }
  }

  fileprivate init?(code: UInt8, number: UInt64) {
    switch code {
    case 10: self = .noDevice
    case 11: self = .sameCode
    case 12: self = .wrongOrder(failures: UInt32(truncatingIfNeeded: number))
    case 13: self = .used(until: Int64(bitPattern: number))
    case 14: self = .counterLost
    default:
      guard let refusal = Refusal(code: code, number: number) else { return nil }
      self = .refused(refusal)
    }
  }
}
