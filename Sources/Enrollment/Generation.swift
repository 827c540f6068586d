internal import FixedMemory

/// The random name of one version of a credential. The login state names the credential that it belongs to, so
/// that an old state is never taken for that of a new credential.
public struct Generation: Equatable, Sendable {
  /// The length in bytes.
  public static var length: Int { 16 }

  /// The length of its hexadecimal form.
  static var digits: Int { 2 * length }

  /// The first eight bytes and the last, as numbers in little-endian order.
  let low: UInt64
  let high: UInt64

  /// The generation of two numbers, as a record has it.
  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// The generation with these bytes.
  public init(bytes: InlineArray<16, UInt8>) {
    low = bytes.span.number(at: 0)
    high = bytes.span.number(at: 8)
  }

  /// The byte at `index`; 0 where there is none.
  func byte(at index: Int) -> UInt8 {
    guard index >= 0, index < Self.length else { return 0 }
    return UInt8(truncatingIfNeeded: (index < 8 ? low : high) >> UInt64(8 &* (index & 7)))
  }

  /// The generation that 32 lower-case hexadecimal digits spell, or nil.
  init?(hexadecimal text: Span<UInt8>) {
    guard text.count == Self.digits else { return nil }
    var areDigits = PackedBytes.highBits
    let low = Self.fourBytes(of: text, at: 0, &areDigits) << 32 | Self.fourBytes(of: text, at: 8, &areDigits)
    let high = Self.fourBytes(of: text, at: 16, &areDigits) << 32 | Self.fourBytes(of: text, at: 24, &areDigits)
    guard areDigits & PackedBytes.highBits == PackedBytes.highBits else { return nil }
    self.init(low: low.byteSwapped, high: high.byteSwapped)
  }

  /// The four bytes that the eight digits at `offset` spell, the first of them highest. Where they are not digits, a
  /// highest bit of `areDigits` is taken away.
  private static func fourBytes(of text: Span<UInt8>, at offset: Int, _ areDigits: inout UInt64) -> UInt64 {
    let text = PackedBytes(text.number(at: offset).byteSwapped)
    let letters = text.areBetween(UInt8(ascii: "a"), UInt8(ascii: "f")) & PackedBytes.highBits
    areDigits &= letters | text.areBetween(UInt8(ascii: "0"), UInt8(ascii: "9"))
    // In ASCII the low half of a digit is its value, and that of a letter nine less. Then halves become bytes, bytes
    // become pairs, and pairs four.
    var value = text.number & PackedBytes.repeating(0x0f) &+ (letters >> 7) &* 9
    value = (value >> 4 | value) & 0x00ff_00ff_00ff_00ff
    value = (value >> 8 | value) & 0x0000_ffff_0000_ffff
    return (value >> 16 | value) & 0xffff_ffff
  }
}
