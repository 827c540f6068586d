import FixedMemory
import Glibc
import LoginPolicy

/// The file `twofactor.conf`: `name = value` lines; a line that begins with `#` is a comment. The names are
/// those of the module's arguments, and a few that only this command reads.
extension HostSettings {
  /// Where the file lies. A host without it has the usual settings.
  static let path = "/etc/security/twofactor.conf"

  private static let longest = 65_536

  /// Reads the settings of this host.
  ///
  /// - Parameter path: The file.
  /// - Returns: The settings; the usual ones where there is no file.
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` where the file cannot be read, trusted or
  ///   understood: what was meant to be strict is not taken for nothing.
  static func load(from path: String = path) throws -> HostSettings {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let error = SystemError.current
      if error == .noSuchFile { return HostSettings() }
      throw failure(path, error.text)
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw failure(path, SystemError.current.text) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw failure(path, "is not a file") }
    guard status.st_uid == 0, status.st_mode & 0o022 == 0 else {
      throw failure(path, "must be root's, and writable by root alone")
    }
    return try HostSettings(text: read(descriptor, path), path: path)
  }

  /// Understands the text of the file.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration``, naming the line.
  init(text: String, path: String = path) throws {
    var parser = PolicyParser()
    var names: Set<String> = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      func problem(_ text: String) -> SetupError { Self.failure("\(path), line \(index + 1)", text) }
      let line = line.trimmed
      if line.isEmpty || line.hasPrefix("#") { continue }
      guard let equals = line.firstIndex(of: "=") else { throw problem("is not of the form name = value") }
      let name = String(line[..<equals].trimmed)
      let value = String(line[line.index(after: equals)...].trimmed)
      guard names.insert(name).inserted else { throw problem("\(name) was given before") }
      guard !value.isEmpty else { throw problem("\(name) has no value") }
      if try take(name, value, problem) { continue }
      do throws(PolicyProblem) {
        try parser.read("\(name)=\(value)".utf8.span)
      } catch {
        var text = ByteText<256>()
        error.describe(into: &text)
        throw problem(String(decoding: text.bytes))
      }
    }
    directoryTemplate = String(decoding: parser.policy.directory.bytes)
    limits = parser.policy.limits
  }

  /// Takes what only this command reads; false for any other name.
  private mutating func take(_ name: String, _ value: String, _ problem: (String) -> SetupError) throws -> Bool {
    func flag() throws -> Bool {
      guard value == "yes" || value == "no" else { throw problem("\(name) is neither yes nor no") }
      return value == "yes"
    }
    switch name {
    case "require_password": requiresPassword = try flag()
    case "allow_disable": allowsDisabling = try flag()
    case "issuer":
      guard OTPAuthURI.isValidLabelPart(value) else {
        throw problem("issuer takes up to 128 bytes without colons and control characters")
      }
      issuer = value
    case "notify":
      guard value.hasPrefix("/") else { throw problem("notify is not an absolute path") }
    default: return false
    }
    return true
  }

  private static func read(_ descriptor: Int32, _ path: String) throws -> String {
    var text: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = unsafe Glibc.read(descriptor, &block, block.count)
      if count == 0 { return String(decoding: text, as: UTF8.self) }
      if count > 0 {
        text += block.prefix(count)
        if text.count > longest { throw failure(path, "is too long") }
      } else if SystemError.current != .interrupted {
        throw failure(path, SystemError.current.text)
      }
    }
  }

  private static func failure(_ subject: String, _ problem: String) -> SetupError {
    SetupError(.configuration, "\(subject): \(problem)", hint: "the administrator can mend it")
  }
}

extension StringProtocol {
  /// The text without blanks, tabs and carriage returns at its ends.
  fileprivate var trimmed: SubSequence {
    func isBlank(_ character: Character) -> Bool { " \t\r".contains(character) }
    guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
      return self[endIndex...]
    }
    return self[first...last]
  }
}
