/// The text of a string literal.
///
/// It replaces `StaticString`, which checks its address at each use, and traps.
@safe
public struct Literal: ExpressibleByStringLiteral, @unchecked Sendable {
  // SAFETY: `byteCount` bytes and a NUL start here, and live as long as the program.
  private let start: UnsafePointer<UInt8>

  /// The length in bytes of UTF-8.
  public let byteCount: Int

  /// The text of a literal.
  @inline(__always)
  public init(stringLiteral value: StaticString) {
    // Only the literal of a single character, as for `Unicode.Scalar`, has no pointer; there is none in this program.
    let empty: StaticString = ""
    // SAFETY: the compiler puts a NUL after every literal.
    unsafe start = value.hasPointerRepresentation ? value.utf8Start : empty.utf8Start
    byteCount = value.hasPointerRepresentation ? value.utf8CodeUnitCount : 0
  }

  /// The bytes, which live as long as the program.
  public var bytes: Span<UInt8> {
    @_lifetime(immortal)
    get {
      // SAFETY: the bytes live as long as the program.
      let span = unsafe UnsafeBufferPointer(start: start, count: byteCount).span
      return unsafe _overrideLifetime(span, copying: ())
    }
  }

  // SAFETY: the compiler puts a NUL after every literal.
  /// The text as a NUL-terminated C string, which lives as long as the program.
  public var cString: UnsafePointer<CChar> { unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self) }

  /// The byte at `index`; nil if it is out of range.
  public func byte(at index: Int) -> UInt8? { bytes.byte(at: index) }
}
