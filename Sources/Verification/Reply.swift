public import FixedMemory
public import OneTimePassword

/// What a user typed at the prompt, read as a code.
public struct Reply: ~Copyable {
  private let sixDigits: UInt32?
  private let eightDigits: UInt32?

  /// The normal form of a backup code, where it can be one: what is hashed. Empty otherwise.
  public let backupCode: SecretBuffer

  /// Whether the backup code would be an eight-digit one of another program.
  public let isScratchCode: Bool

  /// How many characters the backup code takes at the end of what was typed.
  public let backupCodeTyped: Int

  /// How many characters the code takes at the end of what was typed, where no reading was right.
  public var usualLength: Int { sixDigits != nil ? 6 : backupCodeTyped }

  /// The number that was typed as the code of a device with so many digits, leading zeros aside; nil where it is
  /// none.
  public func code(_ digits: CodeDigits) -> UInt32? {
    switch digits {
    case .six: sixDigits
    case .eight: eightDigits
    }
  }

  /// Why a reply is not a code.
  public enum Problem: Error {
    /// Nothing was typed.
    case empty

    /// Neither digits of a known length nor a backup code.
    case malformed

    /// There is no memory for it.
    case outOfMemory
  }

  /// The longest reply that is looked at, in bytes.
  public static var maximumLength: Int { 64 }

  /// The length of a backup code's normal form.
  public static var backupCodeLength: Int { 10 }

  /// Reads a reply. Blanks do not count: people type codes in groups, as they are shown. In a backup code the
  /// dash does not count either, nor the case, and O, I and L are read as 0, 1 and 1 (Crockford's Base32).
  ///
  /// - Parameter text: The reply as it was typed.
  /// - Throws: Why it is not a code.
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
        // Wraps around only where there are too many digits for a code of a device.
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

  /// Reads the end of a password as a code, in every way in which it can be one.
  ///
  /// - Parameters:
  ///   - password: The password with the code at its end.
  ///   - hasScratchCodes: Whether eight digits can be a code of another program; ten characters are then not tried.
  /// - Throws: Why there is no code at its end.
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

  /// The length of a backup code at the end of a text, with its dash where there is one; 0 for none.
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

  /// The character of Crockford's Base32 that is meant, or nil.
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
