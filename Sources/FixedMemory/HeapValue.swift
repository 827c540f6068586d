internal import CSystem

/// A noncopyable value on the heap.
///
/// The compiler copies a large value in place whenever one of its fields is read. The memory comes from calloc(3):
/// Swift's own allocation ends the process when memory is short.
@safe
public struct HeapValue<Value: BitwiseCopyable>: ~Copyable {
  // SAFETY: the memory holds an initialized value, and is freed in `deinit`.
  private let place: UnsafeMutablePointer<Value>

  /// Allocates a value; nil if there is no memory.
  public init?(_ value: Value) {
    // SAFETY: the allocation has the size of a value.
    guard let memory = unsafe calloc(1, MemoryLayout<Value>.stride) else { return nil }
    unsafe place = memory.bindMemory(to: Value.self, capacity: 1)
    unsafe place.initialize(to: value)
  }

  // SAFETY: nothing refers to the memory after `deinit`.
  deinit { unsafe free(place) }

  /// The value, read and changed in place.
  public var value: Value {
    // SAFETY: the memory lives as long as this value.
    unsafeAddress { unsafe UnsafePointer(place) }
    unsafeMutableAddress { unsafe place }
  }
}
