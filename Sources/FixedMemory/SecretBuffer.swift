internal import CSystem

/// Noncopyable heap memory for a secret, overwritten before it is freed.
///
/// The memory comes from calloc(3), because a failure of Swift's allocator ends the process.
@safe
public struct SecretBuffer: ~Copyable {
  // SAFETY: the memory has `capacity` initialized bytes until `deinit`.
  private let base: UnsafeMutablePointer<UInt8>

  // Half the size of `Int`: owners of several buffers are moved often.
  private let room: UInt32
  private var filled: UInt32 = 0

  /// In bytes.
  public var capacity: Int { Int(room) }

  /// The number of bytes in use.
  public private(set) var count: Int {
    get { Int(filled) }
    set { filled = UInt32(truncatingIfNeeded: newValue) }
  }

  /// Allocates `capacity` bytes; nil if memory is short.
  public init?(capacity: Int) {
    let size = Swift.max(capacity, 1)
    // SAFETY: the allocation has `size` bytes.
    guard size <= Int(UInt32.max), let memory = unsafe calloc(1, size) else { return nil }
    unsafe base = memory.bindMemory(to: UInt8.self, capacity: size)
    room = UInt32(truncatingIfNeeded: size)
  }

  // SAFETY: this is the last use of the memory.
  deinit { unsafe Self.release(base, capacity) }

  // Not inlined, because every exit of a function that owns a buffer calls it.
  @inline(never)
  private static func release(_ base: UnsafeMutablePointer<UInt8>, _ capacity: Int) {
    // SAFETY: the caller's memory has `capacity` bytes, and comes from calloc(3).
    unsafe explicit_bzero(base, capacity)
    unsafe free(base)
  }

  /// The bytes in use.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      // SAFETY: `count` is at most the capacity, and the span cannot outlive the owner.
      let span = unsafe UnsafeBufferPointer(start: base, count: count).span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Appends a byte. Returns false if it does not fit.
  @inline(__always)
  public mutating func append(_ byte: UInt8) -> Bool {
    guard count >= 0, count < capacity else { return false }
    // SAFETY: the index is below the capacity.
    unsafe base[count] = byte
    count &+= 1
    return true
  }

  /// Appends bytes. If not all fit, appends those that do, and returns false.
  public mutating func append(_ bytes: Span<UInt8>) -> Bool {
    let free = capacity &- count
    guard count >= 0, free >= 0 else { return false }
    let length = Swift.min(bytes.count, free)
    // SAFETY: both have `length` bytes from here.
    unsafe bytes.withUnsafeBytes { source in
      guard let start = source.baseAddress else { return }
      unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: start, byteCount: length)
    }
    count &+= length
    return length == bytes.count
  }

  /// Appends a literal. Returns false if it does not fit.
  public mutating func append(_ literal: Literal) -> Bool { append(literal.bytes) }

  /// Appends a second copy of the content. Returns false if it does not fit.
  public mutating func repeatContent() -> Bool {
    guard count >= 0, count <= capacity &- count else { return false }
    // SAFETY: at least `count` bytes are free.
    unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: base, byteCount: count)
    count &+= count
    return true
  }

  /// Overwrites the memory with zeros.
  public mutating func removeAll() {
    // SAFETY: the memory has `capacity` bytes.
    unsafe explicit_bzero(base, capacity)
    count = 0
  }

  /// Lends the free memory to `body`, which returns the number of bytes written.
  ///
  /// - Returns: The result of `body`. If it is negative or exceeds the free memory, nothing is appended.
  public mutating func fill(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    // SAFETY: `count` is at most the capacity; all bytes are initialized.
    let free = unsafe UnsafeMutableRawBufferPointer(start: base + count, count: capacity &- count)
    let filled = unsafe body(free)
    if filled > 0, filled <= capacity &- count { count &+= filled }
    return filled
  }

  /// Lends the whole memory to a C function as its context.
  public borrowing func withMemory<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    // SAFETY: the memory has `capacity` bytes and outlives the call.
    unsafe body(UnsafeMutableRawPointer(base))
  }
}
