internal import CSystem
internal import FixedMemory
internal import LoginPolicy

/// The module arguments of the rule.
@safe
struct ModuleArguments {
  private let values: UnsafeMutablePointer<UnsafePointer<CChar>?>?
  private let count: Int

  /// `values` are `count` NUL-terminated strings that outlive the call to the module.
  init(count: Int32, values: UnsafeMutablePointer<UnsafePointer<CChar>?>?) {
    // SAFETY: every use checks the index.
    unsafe self.values = values
    self.count = unsafe values == nil ? 0 : Int(count)
  }

  /// Parses `twofactor.conf`, then the arguments.
  func policy() throws(PolicyProblem) -> Policy {
    var policy = Policy()
    // SAFETY: both paths and the arguments are NUL-terminated.
    let named = unsafe namedFile
    let isOptional = unsafe named == nil
    try policy.read(file: unsafe PolicyFile.read(named ?? PolicyFile.usualPath.cString, isOptional: isOptional))
    var indices = Counter(to: count)
    while let index = indices.next() {
      try policy.read(unsafe span(of: text(at: index)))
    }
    try policy.check()
    return policy
  }

  var policyFilePath: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      // SAFETY: the argument outlives the call to the module; the literal is immortal.
      if let path = unsafe namedFile { return unsafe span(of: path) }
      return unsafe _overrideLifetime(PolicyFile.usualPath.bytes, borrowing: self)
    }
  }

  /// Starts the enrollment program with these arguments. Returns false on failure, with errno set.
  func start(
    _ dialogue: inout csystem_dialogue, _ path: Literal, _ account: inout csystem_account, form: Literal
  ) -> Bool {
    // SAFETY: all strings are NUL-terminated and outlive the call; there are `count` arguments.
    let words = unsafe values.map { unsafe UnsafePointer($0) }
    return unsafe csystem_start_dialogue(
      &dialogue, path.cString, &account, form.cString, words, Int32(truncatingIfNeeded: count)) == 0
  }

  /// From the last `conf=` argument, NUL-terminated.
  private var namedFile: UnsafePointer<CChar>? {
    // SAFETY: the arguments are NUL-terminated, and a match is longer than the name.
    var path: UnsafePointer<CChar>?
    let name: Literal = "conf="
    var indices = Counter(to: count)
    while let index = indices.next() {
      guard let text = unsafe text(at: index), unsafe span(of: text).starts(with: "conf=/") else { continue }
      unsafe path = text + name.byteCount
    }
    return unsafe path
  }

  private func text(at index: Int) -> UnsafePointer<CChar>? {
    // SAFETY: the index is in bounds.
    guard index >= 0, index < count, let values = unsafe values else { return nil }
    return unsafe values[index]
  }

  @_lifetime(borrow self)
  private func span(of text: UnsafePointer<CChar>?) -> Span<UInt8> {
    // SAFETY: the argument is NUL-terminated and outlives the call to the module.
    guard let text = unsafe text else { return Literal("").bytes }
    let start = unsafe UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
    return unsafe _overrideLifetime(UnsafeBufferPointer(start: start, count: strlen(text)).span, borrowing: self)
  }
}
