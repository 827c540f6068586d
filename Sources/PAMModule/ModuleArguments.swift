internal import CSystem
internal import FixedMemory

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
    guard let text = unsafe text(at: index) else { return Literal("").bytes }
    return unsafe span(of: text)
  }

  /// The argument at `index` as libpam has it, NUL-terminated; nil where there is none.
  func text(at index: Int) -> UnsafePointer<CChar>? {
    guard index >= 0, index < count, let values = unsafe values else { return nil }
    // SAFETY: libpam hands over `count` strings, which live as long as the call.
    return unsafe values[index]
  }

  /// The bytes of an argument, or of its end.
  @_lifetime(borrow self)
  func span(of text: UnsafePointer<CChar>) -> Span<UInt8> {
    let start = unsafe UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
    return unsafe _overrideLifetime(UnsafeBufferPointer(start: start, count: strlen(text)).span, borrowing: self)
  }
}
