internal import CSystem

/// The arguments of the module's line in the PAM configuration, as libpam hands them over.
@safe
struct ModuleArguments {
  private let values: UnsafeMutablePointer<UnsafePointer<CChar>?>?

  /// How many there are.
  let count: Int

  init(count: Int32, values: UnsafeMutablePointer<UnsafePointer<CChar>?>?) {
    unsafe self.values = values
    self.count = unsafe values == nil ? 0 : Int(count)
  }

  /// The argument at `index`; empty where there is none.
  @_lifetime(borrow self)
  func argument(at index: Int) -> Span<UInt8> {
    var text: UnsafePointer<CChar>?
    if index >= 0, index < count, let values = unsafe values { unsafe text = values[index] }
    let start = unsafe text.map { unsafe UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
    let length = unsafe text.map { unsafe Int(strlen($0)) } ?? 0
    // SAFETY: libpam hands over `count` strings, which live as long as the call.
    return unsafe _overrideLifetime(UnsafeBufferPointer(start: start, count: length).span, borrowing: self)
  }
}
