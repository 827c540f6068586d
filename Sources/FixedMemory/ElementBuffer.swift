internal import CSystem

/// Noncopyable heap memory for elements of one type.
///
/// An `InlineArray` would be copied whole whenever its owner is passed on. The memory comes from calloc(3): Swift's own
/// allocation ends the process when memory is short.
@safe
public struct ElementBuffer<Element: BitwiseCopyable>: ~Copyable {
  // SAFETY: the memory has room for `capacity` elements, of which `filled` are initialized, and is freed in `deinit`.
  private let base: UnsafeMutablePointer<Element>
  private let capacity: UInt32
  private var filled: UInt32 = 0

  /// The number of elements.
  public var count: Int { Int(filled) }

  /// Allocates memory for `capacity` elements; nil if there is none.
  public init?(capacity: Int) {
    let room = Swift.max(capacity, 1)
    // SAFETY: the allocation has room for that many elements.
    guard room <= Int(UInt32.max), let memory = unsafe calloc(room, MemoryLayout<Element>.stride) else { return nil }
    unsafe base = memory.bindMemory(to: Element.self, capacity: room)
    self.capacity = UInt32(truncatingIfNeeded: room)
  }

  // SAFETY: nothing refers to the memory after `deinit`.
  deinit { unsafe free(base) }

  /// The element at `index`; nil if it is out of range.
  public subscript(index: Int) -> Element? {
    guard index >= 0, index < count else { return nil }
    // SAFETY: the index was compared with both bounds.
    return unsafe base[index]
  }

  /// Appends an element. Returns false if it does not fit.
  public mutating func append(_ element: Element) -> Bool {
    guard filled < capacity else { return false }
    // SAFETY: fewer elements are initialized than there is room for.
    unsafe (base + count).initialize(to: element)
    filled &+= 1
    return true
  }
}
