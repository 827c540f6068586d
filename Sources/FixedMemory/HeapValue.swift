internal import CSystem

/// A noncopyable value on the heap.
///
/// The compiler would copy a large value whenever one of its fields is read. The memory comes from calloc(3), because a
/// failure of Swift's allocator ends the process.
@safe
public struct HeapValue<Value: BitwiseCopyable>: ~Copyable {
  // SAFETY: the memory holds an initialized value until `deinit`.
  private let place: UnsafeMutablePointer<Value>

  /// Nil if memory is short.
  public init?(_ value: Value) {
    // SAFETY: the allocation has the size of a value.
    guard let memory = unsafe calloc(1, MemoryLayout<Value>.stride) else { return nil }
    unsafe place = memory.bindMemory(to: Value.self, capacity: 1)
    unsafe place.initialize(to: value)
  }

  // SAFETY: this is the last use of the memory.
  deinit { unsafe free(place) }

  /// The value, read and changed in place.
  public var value: Value {
    // SAFETY: the memory lives as long as this value.
    unsafeAddress { unsafe UnsafePointer(place) }
    unsafeMutableAddress { unsafe place }
  }
}
