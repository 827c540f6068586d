public import FixedMemory
public import OneTimePassword

/// What a user typed at the prompt, read as a code.
public struct Reply: ~Copyable {
  /// Whether it can be a backup code of this program.
  public var isBackupCode: Bool { backupCode.bytes.count == Self.backupCodeLength }

  /// The code of a device, where it can be one: its digits and its number.
  public let deviceCode: DeviceCode?

  /// The normal form of a backup code, where it can be one: what is hashed. Empty otherwise.
  public let backupCode: SecretBuffer

  /// Whether the backup code would be an eight-digit one of another program.
  public let isScratchCode: Bool

  /// A code as an authenticator shows it.
  public struct DeviceCode {
    /// How many digits were typed.
    public let digits: CodeDigits

    /// Their number, leading zeros aside.
    public let value: UInt32
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
      if byte.isBlank { continue }
      if byte == UInt8(ascii: "-") {
        hasDash = true
        continue
      }
      if let digit = byte.decimalDigit {
        // Wraps around only where there are too many digits for a code of a device.
        number = number &* 10 &+ UInt32(digit)
      } else {
        isAllDigits = false
      }
      guard let character = Self.crockford(byte) else { throw .malformed }
      _ = normal.append(character)
    }

    let length = normal.bytes.count
    guard length > 0 || hasDash else { throw .empty }
    let digits: CodeDigits? = isAllDigits && !hasDash ? CodeDigits(rawValue: UInt8(truncatingIfNeeded: length)) : nil
    guard digits != nil || length == Self.backupCodeLength else { throw .malformed }
    if digits == .six { normal.removeAll() }
    deviceCode = digits.map { DeviceCode(digits: $0, value: number) }
    isScratchCode = digits == .eight
    backupCode = normal
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
