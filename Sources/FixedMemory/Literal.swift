internal import CSystem

/// The text of a string literal without NUL characters.
///
/// `StaticString` can trap at each use of its pointer. No length is stored, so that failures, which contain literals, are
/// returned in registers.
@safe
public struct Literal: ExpressibleByStringLiteral, @unchecked Sendable {
  // SAFETY: NUL-terminated bytes start here, and are immortal.
  private let start: UnsafePointer<UInt8>

  // SAFETY: a NUL ends the bytes.
  /// In bytes of UTF-8.
  public var byteCount: Int { unsafe Int(truncatingIfNeeded: strlen(cString)) }

  /// The text of a literal.
  @inline(__always)
  public init(stringLiteral value: StaticString) {
    // Literals of a single `Unicode.Scalar` have no pointer; the program contains none.
    let empty: StaticString = ""
    // SAFETY: the compiler puts a NUL after every literal.
    unsafe start = value.hasPointerRepresentation ? value.utf8Start : empty.utf8Start
  }

  /// The bytes, without the NUL.
  public var bytes: Span<UInt8> {
    @_lifetime(immortal)
    get {
      // SAFETY: the bytes are immortal.
      let span = unsafe UnsafeBufferPointer(start: start, count: byteCount).span
      return unsafe _overrideLifetime(span, copying: ())
    }
  }

  // SAFETY: the compiler puts a NUL after every literal.
  /// A NUL-terminated C string that lives as long as the program.
  public var cString: UnsafePointer<CChar> { unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self) }

  /// The byte at `index`; nil if it is out of range.
  public func byte(at index: Int) -> UInt8? { bytes.byte(at: index) }
}
