internal import FixedMemory

/// The random name of one version of a credential. The login state names the credential that it belongs to, so
/// that an old state is never taken for that of a new credential.
public struct Generation: Equatable, Sendable {
  /// The length in bytes.
  public static var length: Int { 16 }

  /// The bytes.
  public var bytes: InlineArray<16, UInt8>

  /// The generation with these bytes.
  public init(bytes: InlineArray<16, UInt8>) { self.bytes = bytes }

  /// The generation of two numbers, as a record has it.
  init(low: UInt64, high: UInt64) {
    bytes = InlineArray(repeating: 0)
    var span = bytes.mutableSpan
    span.put(low, at: 0)
    span.put(high, at: 8)
  }

  /// The first eight bytes as a number.
  var low: UInt64 { bytes.span.number(at: 0) }

  /// The last eight bytes as a number.
  var high: UInt64 { bytes.span.number(at: 8) }

  /// The generation that 32 lower-case hexadecimal digits spell, or nil.
  init?(hexadecimal text: Span<UInt8>) {
    guard text.count == 2 * Self.length else { return nil }
    bytes = InlineArray(repeating: 0)
    var indices = Counter(to: Self.length)
    while let index = indices.next() {
      guard let high = text.byte(at: 2 &* index)?.hexDigit, let low = text.byte(at: 2 &* index &+ 1)?.hexDigit
      else { return nil }
      // SAFETY: the index is below the length of the array.
      unsafe bytes[unchecked: index] = high << 4 | low
    }
  }

  /// Whether both are the same.
  public static func == (left: Generation, right: Generation) -> Bool {
    left.low == right.low && left.high == right.high
  }
}
