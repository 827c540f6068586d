internal import CSystem
internal import FixedMemory

/// The random identifier of one version of a credential. A state contains it, so that an old state is never used with a
/// new credential.
public struct Generation: Equatable, Sendable {
  /// In bytes.
  public static var length: Int { 16 }

  /// The first and last eight bytes as little-endian numbers.
  let low: UInt64
  let high: UInt64

  init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// The generation with these bytes.
  public init(bytes: InlineArray<16, UInt8>) {
    self.init(low: bytes.span.number(at: 0), high: bytes.span.number(at: 8))
  }

  /// A random generation; nil if the kernel has no random numbers (getentropy(3)).
  public static func new() -> Generation? {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    // SAFETY: getentropy(3) gets the size of the array.
    let status = unsafe withUnsafeMutableBytes(of: &bytes) { unsafe getentropy($0.baseAddress, $0.count) }
    return status == 0 ? Generation(bytes: bytes) : nil
  }

  /// Parses 32 lower-case hexadecimal digits; nil if invalid.
  package init?(hexadecimal text: Span<UInt8>) {
    guard text.count == 2 &* Self.length else { return nil }
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    var indices = Counter(to: Self.length)
    while let index = indices.next() {
      guard let first = text.byte(at: 2 &* index)?.hexDigit, let second = text.byte(at: 2 &* index &+ 1)?.hexDigit
      else { return nil }
      // SAFETY: the index is in bounds.
      unsafe bytes[unchecked: index] = first << 4 | second
    }
    self.init(bytes: bytes)
  }

  /// The byte at `index`; 0 if out of range.
  public func byte(at index: Int) -> UInt8 {
    guard index >= 0, index < Self.length else { return 0 }
    return UInt8(truncatingIfNeeded: (index < 8 ? low : high) >> UInt64(8 &* (index & 7)))
  }
}
