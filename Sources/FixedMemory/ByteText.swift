internal import CSystem

/// Text of at most so many bytes, on the heap or in memory that is lent for a call: it has one owner and is never copied.
///
/// What does not fit is left out, and ``isTruncated`` tells; where there is no memory nothing fits. Not for secrets: it
/// is not wiped. A text in place would be copied whole wherever the value that it is part of is handed on.
@safe
public struct ByteText: ~Copyable, @unchecked Sendable {
  // As many bytes as the capacity, and a NUL behind those that are held; nil for no capacity, and for no memory.
  private let base: UnsafeMutablePointer<UInt8>?
  private let isOwner: Bool
  private let capacity: UInt32
  private var held: UInt32 = 0

  /// The number of bytes held.
  public var count: Int { Int(held) }

  /// Whether something did not fit.
  public private(set) var isTruncated = false

  /// Whether there is memory for what it is to hold.
  public var hasMemory: Bool { unsafe base != nil }

  /// Makes an empty text in which there is room for so many bytes.
  public init(capacity: Int) {
    let room = Swift.min(Swift.max(capacity, 0), Int(UInt16.max))
    let memory = unsafe malloc(room &+ 1)
    unsafe base = memory?.bindMemory(to: UInt8.self, capacity: room &+ 1)
    isOwner = true
    self.capacity = unsafe memory == nil ? 0 : UInt32(truncatingIfNeeded: room)
    if let base = unsafe base { unsafe base[0] = 0 }
  }

  /// Makes a text in which there is room for nothing.
  public init() {
    unsafe base = nil
    isOwner = true
    capacity = 0
  }

  private init(in memory: UnsafeMutablePointer<UInt8>?, capacity: Int) {
    unsafe base = memory
    isOwner = false
    self.capacity = UInt32(truncatingIfNeeded: capacity)
    if let base = unsafe base { unsafe base[0] = 0 }
  }

  /// Lends a text on the stack for the length of a call: for what must be said where there is no memory, too.
  ///
  /// - Parameters:
  ///   - capacity: For how many bytes there is room, 1023 at most.
  ///   - body: What is done with the text. It must not be exchanged for another: its memory ends with the call.
  @unsafe
  @inline(never)
  public static func onStack(capacity: Int, _ body: (inout ByteText) -> Void) {
    // As much as is never taken from the heap instead, whatever the capacity.
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { memory in
      var text = unsafe ByteText(in: memory.baseAddress, capacity: Swift.min(Swift.max(capacity, 0), 1023))
      body(&text)
    }
  }

  /// Makes a text of a literal.
  public init(_ literal: Literal) {
    self.init(capacity: literal.byteCount)
    append(literal)
  }

  /// Makes a text of a NUL-terminated string; of nil, one with nothing in it.
  public init(cString: UnsafePointer<CChar>?) {
    // SAFETY: the caller hands over a NUL-terminated string.
    let length = unsafe cString.map { unsafe Int(truncatingIfNeeded: strlen($0)) } ?? 0
    self.init(capacity: length)
    guard let base = unsafe base, let start = unsafe cString, length <= capacity else {
      isTruncated = length > 0
      return
    }
    // SAFETY: there is memory for the bytes and their NUL.
    unsafe memcpy(base, start, length &+ 1)
    held = UInt32(truncatingIfNeeded: length)
  }

  deinit { if isOwner { unsafe free(base) } }

  /// The bytes held.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      // SAFETY: `count` never exceeds the capacity, and the span cannot outlive the owner of the memory.
      let span = unsafe UnsafeBufferPointer(start: base, count: count).span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Adds one byte.
  public mutating func append(_ byte: UInt8) {
    guard held < capacity, let base = unsafe base else {
      isTruncated = true
      return
    }
    // SAFETY: fewer are held than the capacity, and there is one byte more for the NUL.
    unsafe base[count] = byte
    held &+= 1
    unsafe base[count] = 0
  }

  /// Adds all of `bytes`.
  public mutating func append(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { unsafe append($0) }
  }

  /// Adds all of another text.
  public mutating func append(_ text: borrowing ByteText) { append(text.bytes) }

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
    let room = Int(capacity &- held)
    var length = source.count
    if length > room {
      isTruncated = true
      length = room
    }
    guard let base = unsafe base, let start = source.baseAddress else { return }
    // SAFETY: `length` bytes are there, and there is room for them and a NUL.
    unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: start, byteCount: length)
    held &+= UInt32(truncatingIfNeeded: length)
    unsafe base[count] = 0
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

  /// Forgets what it holds.
  public mutating func removeAll() {
    held = 0
    isTruncated = false
    if let base = unsafe base { unsafe base[0] = 0 }
  }

  /// Lends the text as a NUL-terminated C string for the length of the call.
  public borrowing func withCString<Result: ~Copyable, Failure: Error>(
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let base = unsafe base else { return try unsafe body(Literal("").cString) }
    // SAFETY: there is a NUL behind the bytes.
    return try unsafe body(UnsafeRawPointer(base).assumingMemoryBound(to: CChar.self))
  }
}
