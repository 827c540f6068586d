internal import FixedMemory
internal import LoginPolicy

extension ModuleArguments {
  /// The policy: the lines of `twofactor.conf`, and what the arguments say over them.
  ///
  /// - Returns: The policy.
  /// - Throws: What is wrong with an argument, the file, or a line of it.
  @_optimize(speed)
  func policy() throws(PolicyProblem) -> Policy {
    var policy = Policy()
    try readFile(into: &policy)
    var indices = Counter(to: count)
    while let index = indices.next() {
      try policy.read(argument(at: index))
    }
    try policy.check()
    return policy
  }

  private func readFile(into policy: inout Policy) throws(PolicyProblem) {
    if let path = unsafe namedFile {
      try policy.read(file: unsafe PolicyFile.read(path, isOptional: false))
    } else {
      try policy.read(file: unsafe PolicyFile.read(PolicyFile.usualPath.cString, isOptional: true))
    }
  }

  /// The path of the configuration file where an argument names one, NUL-terminated; such a file may not be missing.
  private var namedFile: UnsafePointer<CChar>? {
    var path: UnsafePointer<CChar>?
    let name: Literal = "conf="
    var indices = Counter(to: count)
    while let index = indices.next() {
      guard argument(at: index).starts(with: "conf=/") else { continue }
      // SAFETY: the argument is longer than the name.
      unsafe path = text(at: index).map { unsafe $0 + name.byteCount }
    }
    return unsafe path
  }

  /// The path of the configuration file.
  var policyFilePath: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      if let path = unsafe namedFile { return unsafe span(of: path) }
      // SAFETY: a literal lives as long as the program.
      return unsafe _overrideLifetime(PolicyFile.usualPath.bytes, borrowing: self)
    }
  }
}
