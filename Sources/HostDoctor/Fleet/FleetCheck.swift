import HostAccess

/// Checks the servers of `store=postgresql` by the rules of logins on this host.
package struct FleetCheck {
  let report: FleetReport
  /// By how many seconds a clock may be wrong.
  let window: Int64
  /// Whether users enroll at login.
  let enrollsAtLogin: Bool
  /// Unix time.
  let now: Int64

  package init(_ report: FleetReport, window: Int64, enrollsAtLogin: Bool, now: Int64) {
    self.report = report
    self.window = window
    self.enrollsAtLogin = enrollsAtLogin
    self.now = now
  }

  private static let servers = "postgresql_servers"
  private static let durability = "postgresql_durability"
  private static let rights = "postgresql_rights"
  private static let certificates = "postgresql_certificates"
  private static let keys = "postgresql_keys"
  private static let log = "postgresql_log"

  private static let refusal = "logins with a code are refused"
  private static let page = "see postgresql.md in /usr/share/doc/twofactor"

  /// In days.
  private static let shortValidity: Int64 = 30

  package var findings: [Finding] {
    var findings = serverFindings + certificateFindings + keyFindings
    if let primary = report.primary {
      findings += durabilityFindings(primary) + rightFindings(primary) + logFindings(primary)
      findings += [clockFinding(primary)].compactMap { $0 }
    }
    return findings
  }

  // MARK: Servers

  private var serverFindings: [Finding] {
    var instances: Set<String> = []
    // Several names can reach one server through PgBouncer.
    let primaries = report.servers.filter { $0.isPrimary && instances.insert($0.instance ?? $0.name).inserted }
      .map(\.name)
    let silent = report.servers.filter { $0.problem != nil }
    guard let primary = report.primary else {
      let words = silent.map { "\($0.name): \($0.problem ?? "")" }
      let standbys = report.servers.filter { $0.isInRecovery == true }.map { "\($0.name) is a standby" }
      return [
        .failed(
          Self.servers, "no server is a primary: \(Self.refusal) (\((words + standbys).joined(separator: "; ")))",
          remedy: "start the primary, or promote a standby: \(Self.page)")
      ]
    }
    var findings: [Finding] = []
    if primaries.count > 1 {
      findings.append(
        .failed(
          Self.servers,
          "\(primaries.joined(separator: " and ")) are primaries at once: a code may be good on each of them",
          remedy: "make the old primary a standby of the new one: \(Self.page)"))
    }
    if let schema = schemaFinding(primary) { findings.append(schema) }
    findings += silent.map {
      .warning(
        Self.servers, "\($0.name) does not answer: \($0.problem ?? ""); logins use \(primary.name)",
        remedy: "start it, or take it out of host= in \(StoreProgram.settings)")
    }
    let isReplicated = report.isReplicated || primary.standbys?.isEmpty == false
    if report.servers.count == 1, isReplicated {
      findings.append(
        .warning(
          Self.servers, "connection names only \(primary.name): after a failover, \(Self.refusal)",
          remedy: "in \(StoreProgram.settings): host=\(primary.name),NAME_OF_STANDBY in connection"))
    }
    return findings.isEmpty ? [.ok(Self.servers, "\(primary.name) is the primary, and all servers answer")] : findings
  }

  private func schemaFinding(_ primary: DatabaseServer) -> Finding? {
    guard primary.schema != 1 else { return nil }
    let words = primary.schema.map { "has the version \($0) instead of 1" } ?? "is missing, or this host may not use it"
    return .failed(
      Self.servers, "the schema twofactor on \(primary.name) \(words): \(Self.refusal)",
      remedy: primary.schema == nil
        ? Self.onServer(primary, "GRANT twofactor_login TO \(role)") : "run schema.sql of this version: \(Self.page)")
  }

  // MARK: Durability

  private func durabilityFindings(_ primary: DatabaseServer) -> [Finding] {
    var findings = settingFindings(primary)
    let required = primary.requiredStandbys
    if required == 0, report.isReplicated {
      findings.append(
        .failed(
          Self.durability,
          "\(primary.name) waits for no standby (synchronous_standby_names is empty): \(Self.refusal)",
          remedy: Self.onServer(
            primary, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (NAMES OF STANDBYS)'",
            "SELECT pg_reload_conf()")))
    }
    if let standbys = primary.standbys {
      let count = standbys.count(where: \.isSynchronous)
      if count < required {
        findings.append(
          .failed(
            Self.durability,
            "\(primary.name) waits for \(required) standby\(required == 1 ? "" : "s"), and \(count) "
              + "follow\(count == 1 ? "s" : ""): \(Self.refusal)",
            remedy: "start the standbys, or their replication: \(Self.page)"))
      } else if required > 0, !report.isReplicated {
        findings.append(
          .warning(
            Self.durability,
            "\(primary.name) waits for standbys, but this host does not require it: if that setting is lost, a "
              + "failover brings used codes back",
            remedy: "in \(StoreProgram.settings): replicated = yes"))
      } else if required == 0, !report.isReplicated, !standbys.isEmpty {
        findings.append(
          .warning(
            Self.durability, "\(primary.name) does not wait for its standbys: a failover brings used codes back",
            remedy: "set synchronous_standby_names, then replicated = yes in \(StoreProgram.settings)"))
      }
    }
    guard findings.isEmpty else { return findings }
    let words = required > 0 ? "and of \(required) standby\(required == 1 ? "" : "s")" : "alone"
    return [.ok(Self.durability, "a used code is on the disk of \(primary.name) \(words) before a login continues")]
  }

  /// The values of synchronous_commit with which a commit is durable.
  private var commitLevels: [String] {
    report.isReplicated ? ["on", "remote_apply"] : ["on", "remote_apply", "remote_write", "local"]
  }

  private func settingFindings(_ primary: DatabaseServer) -> [Finding] {
    var findings: [Finding] = []
    if let value = primary.settings["fsync"], value != "on" {
      findings.append(
        .failed(
          Self.durability, "fsync is \(value) on \(primary.name): \(Self.refusal)",
          remedy: Self.onServer(primary, "ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()")))
    }
    if let value = primary.settings["synchronous_commit"], !commitLevels.contains(value) {
      findings.append(
        .failed(
          Self.durability, "synchronous_commit is \(value) on \(primary.name): \(Self.refusal)",
          remedy: commitRemedy(primary)))
    }
    if let value = primary.settings["full_page_writes"], value != "on" {
      findings.append(
        .warning(
          Self.durability,
          "full_page_writes is \(value) on \(primary.name): a crash can damage enrollments, unless its file system "
            + "writes pages as a whole",
          remedy: Self.onServer(primary, "ALTER SYSTEM SET full_page_writes = on", "SELECT pg_reload_conf()")))
    }
    return findings
  }

  /// Depends on what has set the value: the role, the database or the server (pg_settings.source).
  private func commitRemedy(_ primary: DatabaseServer) -> String {
    switch primary.commitSource {
    case "user": return Self.onServer(primary, "ALTER ROLE \(role) RESET synchronous_commit")
    case "database": return Self.onServer(primary, "ALTER DATABASE \(database) RESET synchronous_commit")
    case "database user":
      return Self.onServer(primary, "ALTER ROLE \(role) IN DATABASE \(database) RESET synchronous_commit")
    case "client": return "in \(StoreProgram.settings): take synchronous_commit out of connection"
    default:
      return Self.onServer(primary, "ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()")
    }
  }

  // MARK: Rights

  private func rightFindings(_ primary: DatabaseServer) -> [Finding] {
    guard primary.schema != nil else { return [] }
    var findings: [Finding] = []
    let group = Self.quoted(report.group)
    if !primary.rights.contains("group") {
      findings.append(
        .failed(
          Self.rights, "\(report.role) is not a member of the group \(report.group) of hosts: \(Self.refusal)",
          remedy: Self.onServer(primary, "GRANT \(group) TO \(role)")))
    }
    if primary.rights.isDisjoint(with: ["login", "enrollment"]) {
      findings.append(
        .failed(
          Self.rights, "\(report.role) may not log users in: \(Self.refusal)",
          remedy: Self.onServer(primary, "GRANT twofactor_login TO \(role)")))
    }
    if enrollsAtLogin, !primary.rights.contains("enrollment") {
      findings.append(
        .failed(
          Self.rights, "\(report.role) may not enroll users, and logins on this host do: enrollment fails",
          remedy: Self.onServer(primary, "GRANT twofactor_enrollment TO \(role)")))
    }
    if primary.hasOtherRowSecurity {
      findings.append(
        .failed(
          Self.rights,
          "the row security of twofactor.enrollment was changed, and may hide users: those who are not enrolled are "
            + "refused",
          remedy: "run schema.sql again: \(Self.page)"))
    }
    for excess in primary.excess {
      let way = excess.member == report.role ? "" : excess.member.map { " through \($0)" } ?? ""
      findings.append(
        .warning(
          Self.rights,
          "\(report.role) \(excess.member == nil ? "has" : "is a member of") \(excess.name)\(way), which "
            + "this host does not need",
          remedy: Self.onServer(
            primary,
            excess.member.map { "REVOKE \(Self.quoted(excess.name)) FROM \(Self.quoted($0))" }
              ?? "ALTER ROLE \(role) NO\(excess.name)")))
    }
    guard findings.isEmpty else { return findings }
    let enrolls = primary.rights.contains("enrollment") ? "log in and enroll" : "log in, but not enroll,"
    return [.ok(Self.rights, "\(report.role) may \(enrolls) the users of the group \(report.group), and nothing else")]
  }

  // MARK: Certificates

  private var certificateFindings: [Finding] {
    var ends: [(what: String, end: Int64)] = []
    if let end = report.certificateEnd { ends.append(("the certificate of this host", end)) }
    for server in report.servers {
      if let end = server.certificateEnd { ends.append(("the certificate of \(server.name)", end)) }
    }
    if let end = report.servers.compactMap(\.authorityEnd).min() { ends.append(("that of the authority", end)) }
    let findings = ends.compactMap { what, end in finding(of: what, end) }
    guard findings.isEmpty, let first = ends.min(by: { $0.end < $1.end }) else { return findings }
    return [
      .ok(Self.certificates, "all certificates are valid for \(days(until: first.end)) days or more (\(first.what))")
    ]
  }

  private func finding(of what: String, _ end: Int64) -> Finding? {
    let day = Timestamp(seconds: end).date
    let remedy = "issue a new one: \(Self.page)"
    if end <= now {
      return .failed(Self.certificates, "\(what) expired on \(day): \(Self.refusal)", remedy: remedy)
    }
    guard days(until: end) < Self.shortValidity else { return nil }
    return .warning(
      Self.certificates, "\(what) expires on \(day), in \(days(until: end)) days: then, \(Self.refusal)", remedy: remedy
    )
  }

  private func days(until end: Int64) -> Int64 { (end - now) / 86_400 }

  // MARK: Keys

  private var keyFindings: [Finding] {
    if let problem = report.keyProblem {
      return [
        .failed(
          Self.keys, "\(report.keyFile) \(problem): enrolled users are refused",
          remedy: "copy the file from another host of the group, or create the first key:\n"
            + "twofactor fleet rekey --add-key")
      ]
    }
    let known = Set(report.keys.map(\.id))
    let others = report.otherwiseSealed
    let foreign = others.filter { !known.contains($0.key) }
    if !foreign.isEmpty {
      let count = foreign.values.reduce(0, +)
      let ids = foreign.keys.sorted().joined(separator: ", ")
      return [
        .failed(
          Self.keys,
          "\(count) of \(report.enrollments ?? count) enrollments are sealed with a key that this host does not have "
            + "(\(ids)): these users are refused",
          remedy: "copy \(report.keyFile) from a host of the group \(report.group) that has the key")
      ]
    }
    let waiting = report.keys.filter { $0.isWaiting && others[$0.id] != nil }.map(\.id)
    if !waiting.isEmpty {
      return [
        .warning(
          Self.keys,
          "enrollments are sealed with the new key \(waiting.joined(separator: ", ")), and this host still seals with "
            + (report.keys.first?.id ?? ""),
          remedy: "copy \(report.keyFile) from the host that ran twofactor fleet rekey, or run:\ntwofactor fleet rekey")
      ]
    }
    guard others.isEmpty else {
      return [
        .warning(
          Self.keys,
          "\(others.values.reduce(0, +)) of \(report.enrollments ?? 0) enrollments are sealed with an old key",
          remedy: "twofactor fleet rekey")
      ]
    }
    guard let first = report.keys.first, let count = report.enrollments else { return [] }
    return [.ok(Self.keys, "the key \(first.id) seals all enrollments of the group \(report.group): \(count)")]
  }

  // MARK: Log and clock

  private func logFindings(_ primary: DatabaseServer) -> [Finding] {
    let settings = primary.loggingSettings
    guard !settings.isEmpty else { return [.ok(Self.log, "\(primary.name) logs no statements")] }
    return settings.map { setting in
      .warning(
        Self.log,
        "\(primary.name) logs statements, with names of users, sealed credentials and states: \(setting.name) is "
          + (primary.settings[setting.name] ?? ""),
        remedy: Self.onServer(
          primary, "ALTER SYSTEM SET \(setting.name) = \(setting.value)", "SELECT pg_reload_conf()"))
    }
  }

  private func clockFinding(_ primary: DatabaseServer) -> Finding? {
    guard let difference = primary.clockDifference else { return nil }
    return ClockCheck.finding(comparing: Double(difference) / 1_000, with: primary.name, window: window)
  }

  // MARK: Remedies

  private var role: String { Self.quoted(report.role) }
  private var database: String { Self.quoted(report.database) }

  private static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

  /// The command of a superuser on the server. The first line names the server, unless PgBouncer may hide it.
  private static func onServer(_ server: DatabaseServer, _ statements: String...) -> String {
    let words = statements.map { "-c '\($0.replacing("'", with: "'\\''"))'" }.joined(separator: " ")
    return "on \(server.name.contains(":") ? "the primary" : server.name):\nsudo -u postgres psql \(words)"
  }
}
