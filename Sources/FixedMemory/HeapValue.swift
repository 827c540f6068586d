internal import CSystem

/// A value on the heap: it has one owner, stays where it is, and is given back when it goes.
///
/// A large value in place would be copied whenever its owner is handed on. The memory comes from `calloc`, so that a
/// host that is out of memory gets a refusal.
@safe
public struct HeapValue<Value: BitwiseCopyable>: ~Copyable {
  private let place: UnsafeMutablePointer<Value>

  /// Takes memory for a value whose every byte is zero; nil where there is none.
  ///
  /// It is for types of numbers alone, of which zero is one.
  public init?(zeroed type: Value.Type) {
    guard let memory = unsafe calloc(1, MemoryLayout<Value>.stride) else { return nil }
    unsafe place = memory.bindMemory(to: Value.self, capacity: 1)
  }

  deinit { unsafe free(place) }

  /// The bytes of the value where they lie. Handing on ``value`` itself may copy it.
  public var bytes: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      let memory = unsafe UnsafeRawBufferPointer(start: place, count: MemoryLayout<Value>.size)
      // SAFETY: the memory is there as long as its owner.
      return unsafe _overrideLifetime(Span(_unsafeBytes: memory), borrowing: self)
    }
  }

  /// The value, looked at and changed where it is.
  public var value: Value {
    unsafeAddress { unsafe UnsafePointer(place) }
    unsafeMutableAddress { unsafe place }
  }
}
