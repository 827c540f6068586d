internal import CPostgreSQL
internal import CSystem
package import FixedMemory
package import LoginPolicy
internal import SystemFiles

/// The file twofactor-postgresql.conf.
package struct StoreSettings: Sendable {
  /// The path of the file.
  package static let path = "/etc/security/twofactor-postgresql.conf"

  /// The parameters of a connection, complete and validated.
  package var connection: [ConnectionParameter] = []

  /// Those for processes that users start: users can stop these, and so keep connections. Nil if there are no others.
  package var userConnection: [ConnectionParameter]?

  /// The group of hosts whose users this host serves.
  package var group = ""

  /// Whether a commit must wait for a standby.
  package var isReplicated = false

  /// The path of the file with the sealing keys.
  package var sealingKeyPath = "/etc/security/twofactor-sealing.key"

  private static let names: [Literal] = ["connection", "group", "replicated", "sealing_key", "user_connection"]

  /// Reads the file, for the real user.
  package init() throws(StoreProblem) {
    do throws(PolicyProblem) {
      try self.init(parsing: ProtectedFile.read(Self.path))
      if getuid() != 0, let userConnection { connection = userConnection }
    } catch {
      throw StoreProblem(error, in: Self.path)
    }
  }

  /// Parses lines `name = value`, comments that begin with `#`, and empty lines.
  package init(parsing text: borrowing SecretBuffer) throws(PolicyProblem) {
    let text = text.bytes
    var lines = SettingLines()
    var seen = Self.names.map { _ in false }
    while let bytes = lines.next(in: text) {
      guard Self.hasShortName(bytes) else {
        throw PolicyProblem("there is no such setting", Literal("…").bytes, line: lines.number)
      }
      guard let line = try SettingLine(bytes, number: lines.number) else { continue }
      guard let index = Self.index(of: line.name) else { throw line.problem("there is no such setting") }
      guard !seen[index] else { throw line.problem("was given before") }
      seen[index] = true
      let value = try line.value { Self.index(of: $0) != nil }
      guard !value.hasControlCharacters else { throw line.problem("has control characters") }
      guard let text = String(validating: value) else { throw line.problem("is not UTF-8") }
      do throws(SettingFault) {
        try set(index, text)
      } catch {
        throw line.problem(error.text)
      }
    }
    guard seen[0] else { throw PolicyProblem(inFile: "has no line for connection") }
    guard seen[1] else { throw PolicyProblem(inFile: "has no line for group") }
  }

  /// Whether a problem may quote the name. Users see problems, and a sealing key may be in the wrong file.
  private static func hasShortName(_ line: Span<UInt8>) -> Bool {
    (line.firstIndex(of: UInt8(ascii: "=")) ?? line.count) <= 32 || line.byte(at: 0) == UInt8(ascii: "#")
  }

  private static func index(of name: Span<UInt8>) -> Int? {
    var index = 0
    while index < names.count {
      if name.isEqual(to: names[index]) { return index }
      index += 1
    }
    return nil
  }

  private mutating func set(_ index: Int, _ value: String) throws(SettingFault) {
    switch index {
    case 0: connection = try ConnectionParameter.all(in: value)
    case 1:
      guard (1...63).contains(value.utf8.count) else { throw SettingFault("is not 1 to 63 bytes long") }
      guard !value.hasPrefix("pg_"), !value.hasPrefix("twofactor_") else {
        throw SettingFault("is the name of a role of PostgreSQL or of the schema, not of a group of hosts")
      }
      group = value
    case 2:
      guard value == "yes" || value == "no" else { throw SettingFault("is neither yes nor no") }
      isReplicated = value == "yes"
    case 4: userConnection = try ConnectionParameter.all(in: value)
    default:
      guard value.hasPrefix("/"), value.utf8.count > 1 else { throw SettingFault("is not an absolute path") }
      sealingKeyPath = value
    }
  }
}

/// What is wrong with the value of a setting: the end of a sentence.
struct SettingFault: Error {
  let text: Literal

  init(_ text: Literal) { self.text = text }
}

extension String {
  /// Nil unless the bytes are UTF-8.
  init?(validating bytes: Span<UInt8>) {
    // SAFETY: the bytes outlive the copy.
    let text = unsafe bytes.withUnsafeBufferPointer { unsafe String(validating: $0, as: UTF8.self) }
    guard let text else { return nil }
    self = text
  }
}
