public import FixedMemory

/// The Base32 of secrets: the alphabet of RFC 4648 section 6, without padding.
public enum Base32 {
  /// Decodes canonical text: upper case, no padding, no blanks, unused bits zero. Returns false if the text is not
  /// canonical, or the bytes do not fit.
  public static func decode(_ text: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    var indices = Counter(to: text.count)
    while let index = indices.next() {
      guard let value = value(of: text.byte(at: index) ?? 0) else { return false }
      bits = bits << 5 | value
      bitCount &+= 5
      guard bitCount >= 8 else { continue }
      bitCount &-= 8
      guard output.append(UInt8(truncatingIfNeeded: bits &>> bitCount)) else { return false }
    }
    // Five or more leftover bits mean a superfluous character.
    return bitCount < 5 && bits & ((1 &<< bitCount) &- 1) == 0
  }

  /// Encodes to canonical text. Returns false if it does not fit.
  public static func encode(_ bytes: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    var indices = Counter(to: bytes.count)
    while let index = indices.next() {
      bits = bits << 8 | UInt32(bytes.byte(at: index) ?? 0)
      bitCount &+= 8
      while bitCount >= 5 {
        bitCount &-= 5
        guard output.append(character(of: bits &>> bitCount)) else { return false }
      }
    }
    return bitCount == 0 || output.append(character(of: bits &<< (5 &- bitCount)))
  }

  private static func value(of character: UInt8) -> UInt32? {
    let letter = character &- UInt8(ascii: "A")
    let digit = character &- UInt8(ascii: "2")
    return letter < 26 ? UInt32(letter) : digit < 6 ? UInt32(digit) &+ 26 : nil
  }

  private static func character(of bits: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: bits & 31)
    return value < 26 ? UInt8(ascii: "A") &+ value : UInt8(ascii: "2") &+ (value &- 26)
  }
}
