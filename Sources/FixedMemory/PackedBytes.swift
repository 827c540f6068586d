/// Eight bytes in one number, looked at all at once: a login reads a kilobyte of text.
public struct PackedBytes {
  /// The number.
  public let number: UInt64

  /// The bytes of a number, in whatever order.
  @inline(__always)
  public init(_ number: UInt64) { self.number = number }

  /// A byte eight times.
  @inline(__always)
  public static func repeating(_ byte: UInt8) -> UInt64 { UInt64(byte) &* 0x0101_0101_0101_0101 }

  /// The highest bit of each of the eight bytes.
  @inline(__always)
  public static var highBits: UInt64 { repeating(0x80) }

  /// Sets the highest bit of each byte that lies in a range of ASCII, and of none that does not. The other bits mean
  /// nothing. Beside a byte that is not ASCII, and itself found in no range, the next may be mistaken.
  @inline(__always)
  public func areBetween(_ first: UInt8, _ last: UInt8) -> UInt64 {
    // The sums of ASCII stay below 256 and carry nothing from one byte into the next.
    let notBefore = number &+ Self.repeating(0x80 &- first)
    let behind = number &+ Self.repeating(0x7f &- last)
    return notBefore & ~behind
  }

  /// The number that eight decimal digits spell, the first of which is lowest; nil where one is none.
  @inline(__always)
  var decimal: UInt64? {
    guard areBetween(UInt8(ascii: "0"), UInt8(ascii: "9")) & Self.highBits == Self.highBits else { return nil }
    // Two digits become one number, two of these one, and two of those: in each the first counts for more.
    var value = number & Self.repeating(0x0f)
    value = (value &* (10 << 8 | 1)) >> 8 & 0x00ff_00ff_00ff_00ff
    value = (value &* (100 << 16 | 1)) >> 16 & 0x0000_ffff_0000_ffff
    return (value &* (10_000 << 32 | 1)) >> 32
  }
}

extension Span where Element == UInt8 {
  /// The number of the eight bytes at `offset`, in little-endian order; 0 where they do not lie within the bytes.
  @inline(__always)
  public func number(at offset: Int) -> UInt64 {
    guard offset >= 0, offset <= count &- 8 else { return 0 }
    return unsafe withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return 0 }
      // SAFETY: eight bytes from the offset are there.
      return unsafe UInt64(littleEndian: (base + offset).loadUnaligned(as: UInt64.self))
    }
  }
}
