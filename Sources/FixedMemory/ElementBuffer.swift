internal import CSystem

/// Heap memory for elements of one kind: it has one owner, is never copied, and is given back when it goes.
///
/// An array in place would be copied whole wherever one of its elements is looked at. The memory comes from `calloc`, so
/// that a host that is out of memory gets a refusal.
@safe
public struct ElementBuffer<Element: BitwiseCopyable>: ~Copyable {
  private let base: UnsafeMutablePointer<Element>
  private let capacity: UInt32
  private var filled: UInt32 = 0

  /// How many elements it holds.
  public var count: Int { Int(filled) }

  /// Takes memory for `capacity` elements; nil where there is none.
  public init?(capacity: Int) {
    let room = Swift.max(capacity, 1)
    guard room <= Int(UInt32.max) else { return nil }
    guard let memory = unsafe calloc(room, MemoryLayout<Element>.stride) else { return nil }
    unsafe base = memory.bindMemory(to: Element.self, capacity: room)
    self.capacity = UInt32(truncatingIfNeeded: room)
  }

  deinit { unsafe free(base) }

  /// The element at `index`; nil where there is none.
  public subscript(index: Int) -> Element? {
    guard index >= 0, index < count else { return nil }
    // SAFETY: the index was compared with both bounds.
    return unsafe base[index]
  }

  /// Adds an element. False where it does not fit.
  public mutating func append(_ element: Element) -> Bool {
    guard filled < capacity else { return false }
    // SAFETY: what is filled is less than the capacity.
    unsafe (base + count).initialize(to: element)
    filled &+= 1
    return true
  }
}
