/// The text of a string literal of the program.
///
/// It stands in for `StaticString`, whose address is checked, and trapped upon, wherever it is used.
@safe
public struct Literal: ExpressibleByStringLiteral, @unchecked Sendable {
  private let start: UnsafePointer<UInt8>

  /// The length in bytes of UTF-8.
  public let byteCount: Int

  /// The text of a literal.
  @inline(__always)
  public init(stringLiteral value: StaticString) {
    // What has none is a single character of the source, which nobody writes without quotes around it.
    let nothing: StaticString = ""
    unsafe start = value.hasPointerRepresentation ? value.utf8Start : nothing.utf8Start
    byteCount = value.hasPointerRepresentation ? value.utf8CodeUnitCount : 0
  }

  /// The bytes, which live as long as the program.
  public var bytes: Span<UInt8> {
    @_lifetime(immortal)
    get {
      let span = unsafe UnsafeBufferPointer(start: start, count: byteCount).span
      return unsafe _overrideLifetime(span, copying: ())
    }
  }

  /// The text as a NUL-terminated C string, which lives as long as the program: the compiler puts a NUL behind every
  /// literal.
  public var cString: UnsafePointer<CChar> { unsafe UnsafeRawPointer(start).assumingMemoryBound(to: CChar.self) }

  var memory: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: start, count: byteCount) }

  /// The byte at `index`, or nil where there is none.
  public func byte(at index: Int) -> UInt8? {
    guard index >= 0, index < byteCount else { return nil }
    // SAFETY: the index lies within the literal, which lives as long as the program.
    return unsafe start[index]
  }
}
