internal import CSystem

/// Heap memory for a secret: it has one owner, is never copied, and is overwritten when it goes.
///
/// The memory comes from `calloc`, so that a host that is out of memory gets a refusal: Swift's own
/// allocation would end the process.
@safe
public struct SecretBuffer: ~Copyable {
  private let base: UnsafeMutablePointer<UInt8>

  // Half as long as `Int`: what owns several buffers is handed on often, and none has so many bytes.
  private let room: UInt32
  private var filled: UInt32 = 0

  /// The size of the memory in bytes.
  public var capacity: Int { Int(room) }

  /// How many bytes of it are filled.
  public private(set) var count: Int {
    get { Int(filled) }
    set { filled = UInt32(truncatingIfNeeded: newValue) }
  }

  /// Takes memory for `capacity` bytes, all zero; nil where there is none.
  public init?(capacity: Int) {
    let size = Swift.max(capacity, 1)
    guard size <= Int(UInt32.max) else { return nil }
    guard let memory = unsafe calloc(1, size) else { return nil }
    unsafe base = memory.bindMemory(to: UInt8.self, capacity: size)
    room = UInt32(truncatingIfNeeded: size)
  }

  deinit {
    unsafe explicit_bzero(base, capacity)
    unsafe free(base)
  }

  /// The filled bytes.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      // SAFETY: `count` never exceeds the capacity, and the span cannot outlive the owner of the memory.
      let span = unsafe UnsafeBufferPointer(start: base, count: count).span
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Adds one byte. False where it does not fit.
  @inline(__always)
  public mutating func append(_ byte: UInt8) -> Bool {
    guard count >= 0, count < capacity else { return false }
    unsafe base[count] = byte
    count &+= 1
    return true
  }

  /// Replaces the byte at `index`; one that is not filled stays as it is.
  public mutating func replaceByte(at index: Int, with byte: UInt8) {
    guard index >= 0, index < count else { return }
    unsafe base[index] = byte
  }

  /// Adds all of `bytes`. False where they do not fit; what fits has been added.
  public mutating func append(_ bytes: Span<UInt8>) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe append($0) }
  }

  /// Adds the UTF-8 of a literal. False where it does not fit.
  public mutating func append(_ literal: Literal) -> Bool { unsafe append(literal.memory) }

  mutating func append(_ source: UnsafeRawBufferPointer) -> Bool {
    let room = capacity &- count
    guard count >= 0, room >= 0, let start = source.baseAddress else { return unsafe source.isEmpty }
    let length = Swift.min(source.count, room)
    // SAFETY: `length` bytes are there, and there is room for them.
    unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: start, byteCount: length)
    count &+= length
    return length == source.count
  }

  /// Adds what it holds once more, where that fits.
  public mutating func repeatContent() {
    guard count > 0, count <= capacity &- count else { return }
    // SAFETY: as many bytes are free as are filled.
    unsafe UnsafeMutableRawPointer(base + count).copyMemory(from: base, byteCount: count)
    count &+= count
  }

  /// Forgets and overwrites what it holds.
  public mutating func removeAll() {
    unsafe explicit_bzero(base, capacity)
    count = 0
  }

  /// Lends the free memory behind the filled bytes to `body`, which returns how many bytes it filled.
  ///
  /// - Returns: What `body` returned; where that is negative or more than there was room, nothing counts as
  ///   filled.
  public mutating func fill(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    let room = unsafe UnsafeMutableRawBufferPointer(start: base + count, count: capacity &- count)
    let filled = unsafe body(room)
    if filled > 0, filled <= capacity &- count { count &+= filled }
    return filled
  }

  /// Lends the whole memory, for C functions that keep a context in it.
  public borrowing func withMemory<Result>(_ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    unsafe body(UnsafeMutableRawPointer(base))
  }
}
