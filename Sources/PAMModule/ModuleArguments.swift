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

  /// The argument at `index`, cut to what no argument is longer than.
  func argument(at index: Int) -> ByteText<1024> {
    var text = ByteText<1024>()
    guard index >= 0, index < count, let values = unsafe values else { return text }
    // SAFETY: libpam hands over `count` strings, which live as long as the call.
    unsafe text.append(cString: values[index])
    return text
  }
}
