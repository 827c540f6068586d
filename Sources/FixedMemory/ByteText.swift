internal import CSystem

/// Text of at most `capacity` bytes, kept in place: no heap, a value like any other.
///
/// What does not fit is left out, and ``isTruncated`` tells. Not for secrets: a copy is not wiped.
public struct ByteText<let capacity: Int>: Sendable {
  fileprivate var storage = InlineArray<capacity, UInt8>(repeating: 0)

  /// The number of bytes held.
  public private(set) var count = 0

  /// Whether something did not fit.
  public private(set) var isTruncated = false

  /// Makes an empty text.
  @_optimize(speed)
  public init() {}

  /// Makes a text of a literal.
  public init(_ literal: Literal) { append(literal) }

  /// The bytes held.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get { storage.span.slice(from: 0, to: count) }
  }

  /// Adds one byte. One byte of the capacity is kept for the NUL of ``withCString(_:)``.
  public mutating func append(_ byte: UInt8) {
    guard count >= 0, count < capacity &- 1 else {
      isTruncated = true
      return
    }
    // SAFETY: 0 <= count < capacity.
    unsafe storage[unchecked: count] = byte
    count &+= 1
  }

  /// Adds all of `bytes`.
  public mutating func append(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { unsafe append($0) }
  }

  /// Adds all of another text.
  ///
  /// Through its own memory: a span over a text that is part of another value may be one over a copy that is gone
  /// already (the optimiser of Swift 6.3, seen with the word of a thrown error).
  @inline(never)
  @_optimize(speed)
  public mutating func append<let other: Int>(_ text: borrowing ByteText<other>) {
    let length = text.count
    guard length >= 0, length <= other else { return }
    unsafe withUnsafeBytes(of: text.storage) { memory in
      // SAFETY: a text holds no more than its capacity.
      unsafe append(UnsafeRawBufferPointer(start: memory.baseAddress, count: length))
    }
  }

  /// Adds the UTF-8 of a literal.
  public mutating func append(_ literal: Literal) { unsafe append(literal.memory) }

  /// Adds the bytes of a NUL-terminated string; nothing for nil.
  public mutating func append(cString: UnsafePointer<CChar>?) {
    guard let start = unsafe cString else { return }
    // SAFETY: the caller hands over a NUL-terminated string.
    unsafe append(UnsafeRawBufferPointer(start: start, count: strlen(start)))
  }

  // Not inlined: it stands behind every literal of a log line.
  @inline(never)
  private mutating func append(_ source: UnsafeRawBufferPointer) {
    guard count >= 0, count < capacity, let start = source.baseAddress else { return }
    let room = capacity &- 1 &- count
    if source.count > room { isTruncated = true }
    let length = Swift.min(source.count, room)
    let end = count
    // SAFETY: `length` bytes are there, and there is room for them: end + length < capacity.
    unsafe withUnsafeMutableBytes(of: &storage) { memory in
      guard let base = memory.baseAddress else { return }
      unsafe (base + end).copyMemory(from: start, byteCount: length)
    }
    count = end &+ length
  }

  /// Adds a number in decimal.
  public mutating func append(decimal value: UInt64) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var left = value
    var first = 20
    repeat {
      first &-= 1
      // SAFETY: a 64-bit number has at most 20 digits.
      unsafe digits[unchecked: first] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: left % 10)
      left /= 10
    } while left > 0 && first > 0
    append(digits.span.slice(from: first))
  }

  /// Adds a number in decimal, with its sign where it is negative.
  public mutating func append(decimal value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    append(decimal: value.magnitude)
  }

  /// Holds `bytes` and nothing else.
  public mutating func replace(with bytes: Span<UInt8>) {
    removeAll()
    append(bytes)
  }

  /// Forgets what it holds.
  public mutating func removeAll() {
    count = 0
    isTruncated = false
  }

  /// Lends the text as a NUL-terminated C string for the length of the call.
  public mutating func withCString<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: `append` keeps the last byte free, so 0 <= count < capacity.
    unsafe storage[unchecked: count] = 0
    // Lent as it is: a pointer to a value that cannot change would be one to a copy.
    return try unsafe withUnsafeMutablePointer(to: &storage) { pointer throws(Failure) in
      try unsafe body(UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
    }
  }
}

extension SecretBuffer {
  /// Adds all of a text. False where it does not fit; what fits has been added.
  @inline(never) @_optimize(speed)
  public mutating func append<let other: Int>(_ text: borrowing ByteText<other>) -> Bool {
    let length = text.count
    guard length >= 0, length <= other else { return false }
    return unsafe withUnsafeBytes(of: text.storage) { memory in
      // SAFETY: a text holds no more than its capacity.
      unsafe append(UnsafeRawBufferPointer(start: memory.baseAddress, count: length))
    }
  }
}
