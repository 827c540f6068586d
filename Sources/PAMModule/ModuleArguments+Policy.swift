internal import FixedMemory
internal import LoginPolicy

extension ModuleArguments {
  /// The policy: the lines of `twofactor.conf`, and what the arguments say over them.
  ///
  /// - Returns: The policy.
  /// - Throws: What is wrong with an argument, the file, or a line of it.
  func policy() throws(PolicyProblem) -> Policy {
    var parser = PolicyParser()
    try readFile(into: &parser)
    var indices = Counter(to: count)
    while let index = indices.next() {
      try parser.read(argument(at: index))
    }
    return try parser.finish()
  }

  private func readFile(into parser: inout PolicyParser) throws(PolicyProblem) {
    let (path, isOptional) = policyFile()
    try parser.read(file: PolicyFile.read(path.bytes, isOptional: isOptional))
  }

  /// The path of the configuration file, and whether it may be missing.
  func policyFile() -> (path: ByteText<256>, isOptional: Bool) {
    var path = ByteText<256>(PolicyFile.usualPath)
    var isOptional = true
    var indices = Counter(to: count)
    while let index = indices.next() {
      let argument = argument(at: index)
      guard argument.starts(with: "conf=/") else { continue }
      path.replace(with: argument.slice(from: 5))
      isOptional = false
    }
    return (path, isOptional)
  }
}
