public import FixedMemory
public import OneTimePassword

/// A reply, parsed as a code.
public struct Reply: ~Copyable {
  private let sixDigits: UInt32?
  private let eightDigits: UInt32?

  /// Normalized; empty if the reply cannot be a backup code.
  public let backupCode: SecretBuffer

  /// Whether the backup code has eight digits.
  public let isScratchCode: Bool

  /// The typed length of the backup code at the end of the text.
  public let backupCodeTyped: Int

  /// The length to remove from the end of the text if no code was right.
  public var usualLength: Int { sixDigits != nil ? 6 : backupCodeTyped }

  /// Nil if the reply has another number of digits.
  public func code(_ digits: CodeDigits) -> UInt32? {
    switch digits {
    case .six: sixDigits
    case .eight: eightDigits
    }
  }

  /// Whether the reply could guess a device's code or a scratch code: six or eight digits.
  var isCountedGuess: Bool { sixDigits != nil || eightDigits != nil }

  /// Why a reply is not a code.
  public enum Problem: Error {
    case empty

    /// Neither six or eight digits nor a backup code.
    case malformed

    case outOfMemory

    /// Nil if memory was short.
    public var refusal: Refusal? {
      switch self {
      case .empty: .noReply
      case .malformed: .malformedReply
      case .outOfMemory: nil
      }
    }
  }

  /// In bytes.
  public static var maximumLength: Int { 64 }

  /// Without the dash.
  public static var backupCodeLength: Int { 10 }

  /// Ignores blanks, and the dash and case of a backup code. Reads O, I and L as 0, 1 and 1 (Crockford Base32).
  public init(_ text: Span<UInt8>) throws(Problem) {
    guard text.count > 0 else { throw .empty }
    guard text.count <= Self.maximumLength else { throw .malformed }
    guard var normal = SecretBuffer(capacity: Self.maximumLength) else { throw .outOfMemory }

    var isAllDigits = true
    var hasDash = false
    var number: UInt32 = 0
    var indices = Counter(to: text.count)
    while let index = indices.next() {
      guard let byte = text.byte(at: index) else { break }
      if let digit = byte.decimalDigit {
        // Wraps only with too many digits for a code.
        number = number &* 10 &+ UInt32(digit)
        _ = normal.append(byte)
        continue
      }
      if byte.isBlank { continue }
      if byte == UInt8(ascii: "-") {
        hasDash = true
        continue
      }
      isAllDigits = false
      guard let character = Self.crockford(byte) else { throw .malformed }
      _ = normal.append(character)
    }

    let length = normal.bytes.count
    guard length > 0 || hasDash else { throw .empty }
    let digits: CodeDigits? = isAllDigits && !hasDash ? CodeDigits(rawValue: UInt8(truncatingIfNeeded: length)) : nil
    guard digits != nil || length == Self.backupCodeLength else { throw .malformed }
    if digits == .six { normal.removeAll() }
    sixDigits = digits == .six ? number : nil
    eightDigits = digits == .eight ? number : nil
    isScratchCode = digits == .eight
    backupCode = normal
    backupCodeTyped = text.count
  }

  /// Parses the end of a password as every possible kind of code. With `hasScratchCodes`, eight digits are a scratch
  /// code, not the end of a backup code.
  public init(endOf password: Span<UInt8>, hasScratchCodes: Bool) throws(Problem) {
    guard password.count > 0 else { throw .empty }
    var digits = 0
    while digits < 8, password.byte(at: password.count &- 1 &- digits)?.decimalDigit != nil { digits &+= 1 }
    let isScratchCode = hasScratchCodes && digits == 8
    let typed = isScratchCode ? 8 : Self.lengthOfBackupCode(atEndOf: password)
    guard digits >= 6 || typed > 0 else { throw .malformed }
    guard var normal = SecretBuffer(capacity: Self.maximumLength) else { throw .outOfMemory }
    var index = password.count &- typed
    while let byte = password.byte(at: index) {
      if let character = Self.crockford(byte) { _ = normal.append(character) }
      index &+= 1
    }
    self.isScratchCode = isScratchCode
    sixDigits = digits >= 6 ? Self.number(password.slice(from: password.count &- 6)) : nil
    eightDigits = digits == 8 ? Self.number(password.slice(from: password.count &- 8)) : nil
    backupCode = normal
    backupCodeTyped = typed
  }

  /// The length of a backup code at the end of the text, with dash; 0 if there is none.
  private static func lengthOfBackupCode(atEndOf text: Span<UInt8>) -> Int {
    let hasDash = text.byte(at: text.count &- 6) == UInt8(ascii: "-")
    let length = backupCodeLength &+ (hasDash ? 1 : 0)
    guard text.count >= length else { return 0 }
    var index = text.count &- length
    while let byte = text.byte(at: index) {
      if crockford(byte) == nil, !(hasDash && index == text.count &- 6) { return 0 }
      index &+= 1
    }
    return length
  }

  private static func number(_ digits: Span<UInt8>) -> UInt32 {
    var value: UInt32 = 0
    var indices = Counter(to: digits.count)
    while let index = indices.next() { value = value &* 10 &+ UInt32(digits.byte(at: index)?.decimalDigit ?? 0) }
    return value
  }

  /// The Crockford Base32 character of a typed byte; nil if there is none.
  private static func crockford(_ byte: UInt8) -> UInt8? {
    let upper = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") ? byte &- 32 : byte
    switch upper {
    case UInt8(ascii: "O"): return UInt8(ascii: "0")
    case UInt8(ascii: "I"), UInt8(ascii: "L"): return UInt8(ascii: "1")
    case UInt8(ascii: "U"): return nil
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"): return upper
    default: return nil
    }
  }
}
