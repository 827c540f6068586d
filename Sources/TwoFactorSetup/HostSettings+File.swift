import FixedMemory
import LoginPolicy

/// The file `twofactor.conf`, read by the same parser as in a login.
extension HostSettings {
  /// Where the file lies. A host without it has the usual settings.
  static var path: String { PolicyFile.usualPath.description }

  /// Reads the settings of this host.
  ///
  /// - Parameter path: The file.
  /// - Returns: The settings.
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` where the file cannot be read, trusted or
  ///   understood: what was meant to be strict is not taken for nothing.
  static func load(from path: String = path) throws -> HostSettings {
    var name = ByteText(capacity: path.utf8.count)
    name.append(path.utf8.span)
    // Without its name, the file would be one that is not there.
    guard !name.isTruncated else { throw SetupError(.inputOutput, "out of memory") }
    do throws(PolicyProblem) {
      let bytes = try unsafe name.withCString { name throws(PolicyProblem) in
        try unsafe PolicyFile.read(name, isOptional: true)
      }
      return try HostSettings(bytes: bytes)
    } catch {
      throw failure(error, path)
    }
  }

  /// Understands the text of the file.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration``, naming the line.
  init(text: String, path: String = path) throws {
    guard var bytes = SecretBuffer(capacity: text.utf8.count), bytes.append(text.utf8.span) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    do throws(PolicyProblem) {
      try self.init(bytes: bytes)
    } catch {
      throw Self.failure(error, path)
    }
  }

  private init(bytes: borrowing SecretBuffer) throws(PolicyProblem) {
    var policy = Policy()
    try policy.read(file: bytes)
    try policy.check()
    directoryTemplate = String(decoding: policy.directory)
    issuer = policy.issuer.count == 0 ? nil : String(decoding: policy.issuer)
    requiresPassword = policy.requiresPassword
    allowsDisabling = policy.allowsDisabling
    requiredFrom = policy.requiredFrom
    notify = policy.notifier.count == 0 ? nil : String(decoding: policy.notifier)
    limits = policy.limits
  }

  private static func failure(_ problem: PolicyProblem, _ path: String) -> SetupError {
    var text = ByteText(capacity: 511)
    problem.describe(into: &text, path: path.utf8.span)
    return SetupError(.configuration, String(decoding: text.bytes), hint: "the administrator can mend it")
  }
}
