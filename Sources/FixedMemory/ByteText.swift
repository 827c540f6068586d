internal import CSystem

/// Noncopyable, NUL-terminated text of limited length, on the heap or on the stack.
///
/// Text that does not fit is truncated and sets ``isTruncated``. After a failed allocation, nothing fits. Not for
/// secrets: the memory is not wiped.
@safe
public struct ByteText: ~Copyable, @unchecked Sendable {
  // Nil, or memory for `capacity` bytes and a NUL; a NUL follows the `held` bytes in use.
  private let base: UnsafeMutablePointer<UInt8>?
  private let isOwner: Bool
  private let capacity: UInt32
  private var held: UInt32 = 0

  /// In bytes.
  public var count: Int { Int(held) }

  /// Whether text did not fit.
  public private(set) var isTruncated = false

  // SAFETY: compares only the pointer.
  /// False if the allocation failed.
  public var hasMemory: Bool { unsafe base != nil }

  /// An empty text for `capacity` bytes, at most 65535.
  public init(capacity: Int) {
    let room = Swift.min(Swift.max(capacity, 0), Int(UInt16.max))
    // SAFETY: the allocation has `room` bytes and a NUL.
    let memory = unsafe malloc(room &+ 1)
    unsafe base = memory?.bindMemory(to: UInt8.self, capacity: room &+ 1)
    isOwner = true
    self.capacity = unsafe memory == nil ? 0 : UInt32(truncatingIfNeeded: room)
    terminate()
  }

  /// An empty text without memory.
  public init() {
    unsafe base = nil  // SAFETY: there is no memory.
    isOwner = true
    capacity = 0
  }

  private init(in memory: UnsafeMutablePointer<UInt8>?, capacity: Int) {
    // SAFETY: the caller's memory has room for the bytes and a NUL.
    unsafe base = memory
    isOwner = false
    self.capacity = UInt32(truncatingIfNeeded: capacity)
    terminate()
  }

  /// Lends a text of at most 1023 bytes on the stack, for messages when memory is short.
  @unsafe  // SAFETY: the text's memory is gone after the call, so the body must not keep the text.
  @inline(never)
  public static func onStack(capacity: Int, _ body: (inout ByteText) -> Void) {
    // SAFETY: the memory has 1024 bytes, a size that is always on the stack, and outlives `body`.
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { memory in
      var text = unsafe ByteText(in: memory.baseAddress, capacity: Swift.min(Swift.max(capacity, 0), 1023))
      body(&text)
    }
  }

  /// Copies a literal.
  public init(_ literal: Literal) {
    self.init(capacity: literal.byteCount)
    append(literal)
  }

  /// Copies a NUL-terminated string; empty for nil.
  public init(cString: UnsafePointer<CChar>?) {
    // SAFETY: the caller's string is NUL-terminated and outlives the call.
    self.init(capacity: unsafe cString.map { unsafe Int(truncatingIfNeeded: strlen($0)) } ?? 0)
    unsafe append(cString: cString)
  }

  // SAFETY: an owner's memory comes from malloc(3), and this is its last use.
  deinit { if isOwner { unsafe free(base) } }

  /// The bytes, without the NUL.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      // SAFETY: `count` is at most the capacity, and the span cannot outlive the owner.
      let span = unsafe UnsafeBufferPointer(start: base, count: count).span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Appends a byte.
  public mutating func append(_ byte: UInt8) {
    // SAFETY: the index is below the capacity.
    guard held < capacity, let base = unsafe base else {
      isTruncated = true
      return
    }
    unsafe base[count] = byte
    held &+= 1
    terminate()
  }

  // Not inlined, because every literal of a log line calls it.
  /// Appends bytes.
  @inline(never)
  public mutating func append(_ bytes: Span<UInt8>) {
    let room = Int(capacity &- held)
    isTruncated = isTruncated || bytes.count > room
    let length = Swift.min(bytes.count, room)
    // SAFETY: both have `length` bytes from here.
    unsafe bytes.withUnsafeBytes { source in
      guard let base = unsafe base, let start = source.baseAddress else { return }
      unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: start, byteCount: length)
    }
    held &+= UInt32(truncatingIfNeeded: length)
    terminate()
  }

  /// Appends another text.
  public mutating func append(_ text: borrowing ByteText) { append(text.bytes) }

  /// Appends a literal.
  public mutating func append(_ literal: Literal) { append(literal.bytes) }

  /// Appends a NUL-terminated string, or nothing for nil.
  public mutating func append(cString: UnsafePointer<CChar>?) {
    // SAFETY: the caller's string is NUL-terminated and outlives the call.
    guard let start = unsafe cString else { return }
    unsafe append(Span(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: strlen(start))))
  }

  /// Appends a decimal number.
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

  /// Appends a decimal number, signed if negative.
  public mutating func append(decimal value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    append(decimal: value.magnitude)
  }

  /// Also clears ``isTruncated``.
  public mutating func removeAll() {
    held = 0
    isTruncated = false
    terminate()
  }

  @inline(__always)
  private func terminate() {
    // SAFETY: `count` is at most the capacity, and a NUL fits behind.
    guard let base = unsafe base else { return }
    unsafe base[count] = 0
  }

  /// Lends the text as a NUL-terminated C string.
  public borrowing func withCString<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // SAFETY: a NUL follows the bytes.
    guard let base = unsafe base else { return try unsafe body(Literal("").cString) }
    return try unsafe body(UnsafeRawPointer(base).assumingMemoryBound(to: CChar.self))
  }
}
