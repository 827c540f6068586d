/// The answer of `twofactor-store-postgresql` to the request `describe`: lines `NAME VALUE` (`pam/helper-protocol.md`).
package struct FleetReport: Equatable {
  /// The group of hosts, and the role of this one.
  package var group = ""
  package var role = ""
  package var database = ""
  /// The option `replicated`.
  package var isReplicated = false
  package var keyFile = ""
  package var keys: [SealingKey] = []
  /// Why the key file is unusable; nil if it is usable.
  package var keyProblem: String?
  /// The Unix time at which this host's certificate expires; nil if unknown.
  package var certificateEnd: Int64?
  /// In the order of the connection string.
  package var servers: [DatabaseServer] = []

  /// One key of the file, in its order: the first one seals.
  package struct SealingKey: Equatable {
    /// The start of its hash; not secret.
    package let id: String
    /// Whether it seals only after the next `twofactor fleet rekey`.
    package let isWaiting: Bool
  }

  /// The server that logins use: the first one that is a primary.
  package var primary: DatabaseServer? { servers.first(where: \.isPrimary) }

  /// Enrollments of the group that are not sealed with the first key.
  package var otherwiseSealed: [String: Int] { (primary?.rows ?? [:]).filter { $0.key != keys.first?.id } }

  /// Enrollments of the group; nil without a primary, or if this host may not see them.
  package var enrollments: Int? { primary?.rows?.values.reduce(0, +) }

  /// Ignores unknown lines.
  package init(_ text: String) {
    for line in text.split(separator: "\n") {
      let (name, value) = Self.split(line)
      switch name {
      case "group": group = value
      case "role": role = value
      case "database": database = value
      case "replicated": isReplicated = value == "yes"
      case "key_file": keyFile = value
      case "key": keys.append(SealingKey(id: Self.split(value[...]).0, isWaiting: value.hasSuffix(" waits")))
      case "key_problem": keyProblem = value
      case "certificate": certificateEnd = Int64(value)
      case "server": servers.append(DatabaseServer(value))
      default:
        guard !servers.isEmpty else { continue }
        servers[servers.count - 1].read(name, value)
      }
    }
  }

  /// The word before the first blank, and the rest.
  static func split(_ line: Substring) -> (String, String) {
    let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
  }
}

/// A server of the connection string, as this host sees it.
package struct DatabaseServer: Equatable {
  /// Name, and port if it is not 5432.
  package let name: String
  /// Why it did not answer; nil if it did.
  package var problem: String?
  package var address: String?
  package var tls: String?
  /// The time of connecting and of a query, in microseconds.
  package var connectTime: Int?
  package var queryTime: Int?
  package var version: String?
  /// Nil if unknown.
  package var isInRecovery: Bool?
  /// How far the server's clock is ahead of this host's, in milliseconds.
  package var clockDifference: Int?
  /// The Unix times at which its certificate and that of its authority expire; nil if unknown.
  package var certificateEnd: Int64?
  package var authorityEnd: Int64?
  package var settings: [String: String] = [:]
  /// What set `synchronous_commit` (pg_settings.source).
  package var commitSource: String?
  /// The version of the schema.
  package var schema: Int?
  /// Whether the row security of the table differs from that of the schema.
  package var hasOtherRowSecurity = false
  /// Roles that this host acts for: `group`, `login`, `enrollment`, `report`.
  package var rights: Set<String> = []
  /// Attributes and roles that this host does not need.
  package var excess: [Excess] = []
  /// Nil if the host may not see them.
  package var standbys: [Standby]?
  /// The number of enrollments of the group by the ID of the key that sealed them.
  package var rows: [String: Int]?

  /// Equal for all names that reach the same server; nil if unknown.
  package var instance: String?

  package struct Excess: Equatable {
    package let name: String
    /// The role that is a member: that of this host, or one that it is a member of. Nil for an attribute.
    package var member: String?
  }

  package struct Standby: Equatable {
    package let name: String
    /// `sync`, `quorum`, `potential` or `async`.
    package let kind: String
    /// `streaming` if it follows the primary.
    package let state: String
    /// How many bytes are not on its disk yet, and its delay in milliseconds; nil if unknown.
    package let unflushed: Int?
    package let delay: Int?

    /// Whether a commit waits for it.
    package var isSynchronous: Bool { (kind == "sync" || kind == "quorum") && state == "streaming" }
  }

  init(_ name: String) { self.name = name }

  package var isPrimary: Bool { isInRecovery == false }

  /// How many standbys must confirm a commit.
  package var requiredStandbys: Int {
    let names = settings["synchronous_standby_names"] ?? ""
    guard !names.isEmpty else { return 0 }
    // `ANY 2 (a, b, c)`, `FIRST 2 (…)`, `2 (…)` or a list of names.
    return names.split(separator: "(", maxSplits: 1).first.flatMap { start in
      start.split(separator: " ").last.flatMap { Int($0) }
    } ?? 1
  }

  /// Settings with which the server writes statements to its log, with the values that avoid it.
  package var loggingSettings: [(name: String, value: String)] {
    let harmless: [(String, [String])] = [
      ("log_statement", ["none", "ddl"]), ("log_min_duration_statement", ["-1"]),
      ("log_min_duration_sample", ["-1"]), ("log_transaction_sample_rate", ["0"]),
      ("auto_explain.log_min_duration", ["-1"]), ("pgaudit.log", ["none", "ddl", "role"]),
    ]
    return harmless.compactMap { name, values in
      settings[name].flatMap { values.contains($0) ? nil : (name, values[0]) }
    }
  }

  mutating func read(_ name: String, _ value: String) {
    switch name {
    case "problem": problem = value
    case "address": address = value
    case "tls": tls = value
    case "connect": connectTime = Int(value)
    case "query": queryTime = Int(value)
    case "version": version = value
    case "recovery": isInRecovery = value == "yes"
    case "clock": clockDifference = Int(value)
    case "server_certificate": certificateEnd = Int64(value)
    case "authority": authorityEnd = Int64(value)
    case "setting":
      let (name, value) = FleetReport.split(value[...])
      settings[name] = value
    case "commit_source": commitSource = value
    case "schema": schema = Int(value)
    case "row_security": hasOtherRowSecurity = value != "unchanged"
    case "may": rights.insert(value)
    case "instance": instance = value
    case "excess": excess.append(Excess(name: value))
    case "excess_of":
      if !excess.isEmpty { excess[excess.count - 1].member = value }
    case "standbys": standbys = []
    case "standby": read(standby: value.split(separator: " ").map(String.init))
    case "rows": rows = [:]
    case "rows_of":
      let (key, count) = FleetReport.split(value[...])
      rows?[key] = Int(count)
    default: break
    }
  }

  private mutating func read(standby words: [String]) {
    guard words.count == 5 else { return }
    standbys?.append(
      Standby(
        name: words[0], kind: words[1], state: words[2], unflushed: Int(words[3]), delay: Int(words[4])))
  }
}
