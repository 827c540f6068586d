internal import CSystem
internal import FixedMemory

/// The texts of a policy, one behind the other.
///
/// Most hosts set none, and every login reads a policy: the memory is taken with the first text. It comes from
/// `malloc`, so that a host that is out of memory gets a refusal.
///
/// It is public for its `deinit` alone, which Embedded Swift must see wherever a ``Policy`` ends.
@safe
public struct PolicyTexts: ~Copyable {
  private var base: UnsafeMutablePointer<UInt8>?
  private var count = 0

  /// Room for the longest value of each option, once from the file and once from the arguments.
  private static var capacity: Int { 2 * (512 + 4 * 1024 + 2 * 128 + 256) + 2 * texts }

  /// How many texts a policy has; behind each stands a NUL.
  private static var texts: Int { 8 }

  /// Where a text stands; nothing for one that was not set.
  struct Place {
    fileprivate var start: UInt16 = 0
    fileprivate var count: UInt16 = 0

    /// Whether there is nothing.
    var isEmpty: Bool { count == 0 }
  }

  init() {}

  deinit { unsafe free(base) }

  /// Keeps a text.
  ///
  /// - Returns: Where it stands; nil where there is no memory.
  mutating func add(_ text: Span<UInt8>) -> Place? {
    if unsafe base == nil {
      unsafe base = malloc(Self.capacity)?.bindMemory(to: UInt8.self, capacity: Self.capacity)
    }
    guard let base = unsafe base, text.count < Self.capacity &- count else { return nil }
    let start = count
    unsafe text.withUnsafeBytes { bytes in
      // SAFETY: there is room for them behind those that are there.
      if let source = bytes.baseAddress {
        unsafe UnsafeMutableRawPointer(base + start).copyMemory(from: source, byteCount: bytes.count)
      }
    }
    unsafe base[start &+ text.count] = 0
    count &+= text.count &+ 1
    return Place(start: UInt16(truncatingIfNeeded: start), count: UInt16(truncatingIfNeeded: text.count))
  }

  /// The text at a place as a NUL-terminated string; nil for none.
  func cString(at place: Place) -> UnsafePointer<CChar>? {
    guard !place.isEmpty, let base = unsafe base else { return nil }
    return unsafe UnsafeRawPointer(base + Int(place.start)).assumingMemoryBound(to: CChar.self)
  }

  /// The text at a place.
  @_lifetime(borrow self)
  func bytes(at place: Place) -> Span<UInt8> {
    // SAFETY: places are made by `add` alone, and the span cannot outlive the owner of the memory.
    let start = unsafe base.map { unsafe UnsafePointer($0 + Int(place.start)) }
    let span = unsafe UnsafeBufferPointer(start: start, count: unsafe start == nil ? 0 : Int(place.count)).span
    return unsafe _overrideLifetime(span, borrowing: self)
  }
}
