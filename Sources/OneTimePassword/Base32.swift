public import FixedMemory

/// Base32 as authenticators use it for secrets: the alphabet of RFC 4648 section 6 without padding.
public enum Base32 {
  /// Decodes the canonical form: upper case, no padding, no blanks, and the bits left over all zero, so that
  /// one secret has one spelling.
  ///
  /// - Parameters:
  ///   - text: The Base32 form.
  ///   - output: Where the bytes are added.
  /// - Returns: False where the text is not canonical or does not fit.
  public static func decode(_ text: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    let length = unsafe output.fill { room in
      unsafe text.withUnsafeBytes { text in
        guard let source = text.baseAddress else { return 0 }
        // No character is worth a whole byte.
        guard let target = room.baseAddress, text.count <= room.count else { return -1 }
        var (read, written) = (0, 0)
        var areCharacters = PackedBytes.highBits
        // Eight characters are five bytes.
        while read &+ 8 <= text.count {
          // SAFETY: there are as many characters, and room for as many bytes: what is written behind the five is
          // overwritten, or not counted.
          let eight = unsafe UInt64(bigEndian: (source + read).loadUnaligned(as: UInt64.self))
          let (five, areValid) = value(of: PackedBytes(eight))
          areCharacters &= areValid
          unsafe target.storeBytes(of: (five << 24).bigEndian, toByteOffset: written, as: UInt64.self)
          read &+= 8
          written &+= 5
        }
        guard areCharacters & PackedBytes.highBits == PackedBytes.highBits else { return -1 }

        var (bits, bitCount): (UInt32, UInt32) = (0, 0)
        var strays: UInt32 = 0
        while read < text.count {
          // SAFETY: there are as many characters, and room for as many bytes.
          let value = unsafe value(of: source.load(fromByteOffset: read, as: UInt8.self))
          strays |= value
          bits = (bits << 5) | value
          bitCount &+= 5
          read &+= 1
          guard bitCount >= 8 else { continue }
          bitCount &-= 8
          unsafe target.storeBytes(
            of: UInt8(truncatingIfNeeded: bits >> bitCount), toByteOffset: written, as: UInt8.self)
          written &+= 1
        }
        // Five bits or more left over are a character that adds no byte.
        return strays < 32 && bitCount < 5 && bits & ((1 << bitCount) &- 1) == 0 ? written : -1
      }
    }
    return length >= 0
  }

  /// Encodes to the canonical form.
  ///
  /// - Parameters:
  ///   - bytes: The secret.
  ///   - output: Where the text is added.
  /// - Returns: False where it does not fit.
  public static func encode(_ bytes: Span<UInt8>, into output: inout SecretBuffer) -> Bool {
    var bits: UInt32 = 0
    var bitCount: UInt32 = 0
    var indices = Counter(to: bytes.count)
    while let index = indices.next() {
      bits = (bits << 8) | UInt32(bytes.byte(at: index) ?? 0)
      bitCount &+= 8
      while bitCount >= 5 {
        bitCount &-= 5
        guard output.append(character(of: bits >> bitCount)) else { return false }
      }
    }
    return bitCount == 0 || output.append(character(of: bits << (5 &- bitCount)))
  }

  /// The 40 bits that eight characters stand for, the first of them highest; and the highest bit of each byte that is a
  /// character.
  @inline(__always)
  private static func value(of text: PackedBytes) -> (bits: UInt64, areCharacters: UInt64) {
    let letters = text.areBetween(UInt8(ascii: "A"), UInt8(ascii: "Z")) & PackedBytes.highBits
    let digits = text.areBetween(UInt8(ascii: "2"), UInt8(ascii: "7"))
    // The digits begin at 26; letters are so much higher in ASCII that they begin at 0 with 41 less.
    var bits = text.number &- PackedBytes.repeating(UInt8(ascii: "2") &- 26) &- (letters >> 7) &* 41
    // Two, four and eight of five bits are brought together.
    bits = (bits >> 3) & 0x03e0_03e0_03e0_03e0 | bits & 0x001f_001f_001f_001f
    bits = (bits >> 6) & 0x000f_fc00_000f_fc00 | bits & 0x0000_03ff_0000_03ff
    bits = (bits >> 12) & 0x00ff_fff0_0000 | bits & 0x000f_ffff
    return (bits, letters | digits)
  }

  /// The value of a character; 32 and more for one that has none.
  @inline(__always)
  private static func value(of character: UInt8) -> UInt32 {
    let letter = UInt32(character &- UInt8(ascii: "A"))
    let digit = UInt32(character &- UInt8(ascii: "2"))
    return letter < 26 ? letter : digit < 6 ? digit &+ 26 : 32
  }

  private static func character(of bits: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: bits & 31)
    return value < 26 ? UInt8(ascii: "A") &+ value : UInt8(ascii: "2") &+ (value &- 26)
  }
}
