internal import CSystem

/// Noncopyable heap memory for elements of one type.
///
/// An `InlineArray` would be copied with its owner. The memory comes from calloc(3), because a failure of Swift's
/// allocator ends the process.
@safe
public struct ElementBuffer<Element: BitwiseCopyable>: ~Copyable {
  // SAFETY: the memory has `capacity` elements, of which `filled` are initialized, until `deinit`.
  private let base: UnsafeMutablePointer<Element>
  private let capacity: UInt32
  private var filled: UInt32 = 0

  /// The number of elements.
  public var count: Int { Int(filled) }

  /// Allocates `capacity` elements; nil if memory is short.
  public init?(capacity: Int) {
    let room = Swift.max(capacity, 1)
    // SAFETY: the allocation has `room` elements.
    guard room <= Int(UInt32.max), let memory = unsafe calloc(room, MemoryLayout<Element>.stride) else { return nil }
    unsafe base = memory.bindMemory(to: Element.self, capacity: room)
    self.capacity = UInt32(truncatingIfNeeded: room)
  }

  // SAFETY: this is the last use of the memory.
  deinit { unsafe free(base) }

  /// The element at `index`; nil if it is out of range.
  public subscript(index: Int) -> Element? {
    guard index >= 0, index < count else { return nil }
    // SAFETY: the index is in bounds.
    return unsafe base[index]
  }

  /// Appends an element. Returns false if it does not fit.
  public mutating func append(_ element: Element) -> Bool {
    guard filled < capacity else { return false }
    // SAFETY: `filled` is below the capacity.
    unsafe (base + count).initialize(to: element)
    filled &+= 1
    return true
  }
}
