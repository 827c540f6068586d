import HostAccess
import HostDoctor

/// The output of `twofactor fleet status`.
struct FleetStatus {
  private let report: FleetReport
  private let findings: [Finding]
  /// Unix time.
  private let now: Int64

  /// Whether logins with a code can be accepted.
  var acceptsLogins: Bool { !findings.contains { $0.status == .failed } }

  init(_ report: FleetReport, findings: [Finding], now: Int64) {
    self.report = report
    self.findings = findings
    self.now = now
  }

  // MARK: JSON

  var json: JSONValue {
    .object([
      ("accepts_logins", .bool(acceptsLogins)), ("group", .string(report.group)), ("role", .string(report.role)),
      ("replicated", .bool(report.isReplicated)), ("servers", .array(report.servers.map(json))),
      ("certificate_ends_at", .time(report.certificateEnd)),
      ("authority_ends_at", .time(report.servers.compactMap(\.authorityEnd).min())),
      ("rights", .array((report.primary?.rights ?? []).sorted().map(JSONValue.string))),
      ("unneeded_rights", .array((report.primary?.excess ?? []).map { .string($0.name) })),
      ("keys", report.keysJSON), ("enrollments", .number(report.enrollments)),
      ("sealed_otherwise", .number(report.enrollments.map { _ in report.otherwiseSealed.values.reduce(0, +) })),
      ("checks", .array(findings.map(\.json))),
    ])
  }

  private func json(_ server: DatabaseServer) -> JSONValue {
    .object([
      ("server", .string(server.name)), ("address", .optional(server.address)),
      ("error", .optional(server.problem)),
      ("primary", server.isInRecovery.map { .bool(!$0) } ?? .null), ("version", .optional(server.version)),
      ("tls", .optional(server.tls)), ("connect_microseconds", .number(server.connectTime)),
      ("query_microseconds", .number(server.queryTime)),
      ("clock_ahead_milliseconds", .number(server.clockDifference)),
      ("certificate_ends_at", .time(server.certificateEnd)),
      ("settings", .object(server.settings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
      ("standbys", server.standbys.map { .array($0.map(json)) } ?? .null),
    ])
  }

  private func json(_ standby: DatabaseServer.Standby) -> JSONValue {
    .object([
      ("name", .string(standby.name)), ("sync_state", .string(standby.kind)), ("state", .string(standby.state)),
      ("unflushed_bytes", .number(standby.unflushed)), ("flush_lag_milliseconds", .number(standby.delay)),
    ])
  }

  // MARK: Text

  func text(on terminal: Terminal) -> String {
    ([heading, terminal.text(of: servers)] + standbys.map { [terminal.text(of: $0)] }.joined() + [rest, problems])
      .filter { $0 != "" }.joined(separator: "\n")
  }

  private var heading: String {
    let kind = report.isReplicated ? "with standbys" : "without standbys"
    return "Group \(report.group.printable), as \(report.role.printable), \(kind): "
      + (acceptsLogins ? "logins are accepted.\n" : "logins are refused.\n")
  }

  private var servers: TextTable {
    var table = TextTable(["SERVER", "ROLE", "CONNECT", "QUERY", "CLOCK", "VERSION", "CERTIFICATE"])
    for server in report.servers {
      if let problem = server.problem {
        table.add([server.name.printable, problem.printable])
      } else {
        table.add([
          server.name.printable, server.isPrimary ? "primary" : "standby", Self.milliseconds(server.connectTime),
          Self.milliseconds(server.queryTime), Self.seconds(server.clockDifference),
          (server.version ?? "unknown").printable, days(until: server.certificateEnd),
        ])
      }
    }
    return table
  }

  private var standbys: [TextTable] {
    guard let standbys = report.primary?.standbys, !standbys.isEmpty else { return [] }
    var table = TextTable(["STANDBY", "REPLICATION", "STATE", "BEHIND", "DELAY"])
    for standby in standbys {
      table.add([
        standby.name.printable, standby.kind, standby.state,
        standby.unflushed.map { "\($0) bytes" } ?? "unknown", standby.delay.map { "\($0) ms" } ?? "none",
      ])
    }
    return [table]
  }

  private var rest: String {
    var lines: [(String, String)] = []
    if let primary = report.primary {
      let rights = primary.rights
      let words = rights.contains("enrollment") ? "log users in, and enroll them" : "log users in"
      lines.append(("This host may:", rights.contains("group") ? words : "nothing"))
      let names = ["synchronous_commit", "fsync", "full_page_writes"]
      lines.append(
        (
          "Settings:",
          names.compactMap { name in primary.settings[name].map { "\(name) = \($0)" } }.joined(separator: ", ")
        ))
      if let names = primary.settings["synchronous_standby_names"], names != "" {
        lines.append(("Waits for:", names.printable))
      }
    }
    let authority = report.servers.compactMap(\.authorityEnd).min()
    lines.append(
      ("Certificates:", "this host's \(days(until: report.certificateEnd)), the authority's \(days(until: authority))"))
    let keys = report.keys.enumerated().map { index, key in
      "\(key.id.printable) \(index == 0 ? "seals" : key.isWaiting ? "waits" : "opens")"
    }
    lines.append(("Sealing keys:", keys.isEmpty ? "none" : keys.joined(separator: ", ")))
    if let count = report.enrollments {
      let others = report.otherwiseSealed.sorted { $0.key < $1.key }.map { "\($0.value) with \($0.key.printable)" }
      lines.append(
        ("Enrollments:", "\(count)" + (others.isEmpty ? "" : ", of these sealed \(others.joined(separator: ", "))")))
    }
    let width = 15
    return lines.map { name, text in
      let wrapped = PageText.wrapped(text, columns: 80 - width)
      return name.padded(to: width) + wrapped.joined(separator: "\n" + "".padded(to: width)) + "\n"
    }.joined()
  }

  private var problems: String {
    findings.filter { $0.status == .failed || $0.status == .warning }.map(\.text).joined()
  }

  private static func milliseconds(_ microseconds: Int?) -> String {
    guard let microseconds else { return "unknown" }
    return "\(microseconds / 1_000).\(microseconds % 1_000 / 100) ms"
  }

  /// With a sign.
  private static func seconds(_ milliseconds: Int?) -> String {
    guard let milliseconds else { return "unknown" }
    let (whole, rest) = (milliseconds.magnitude / 1_000, milliseconds.magnitude % 1_000 / 100)
    return "\(milliseconds < 0 ? "-" : "+")\(whole).\(rest) s"
  }

  private func days(until end: Int64?) -> String {
    guard let end else { return "unknown" }
    return end <= now ? "expired" : "\((end - now) / 86_400) days"
  }
}

extension JSONValue {
  fileprivate static func number(_ value: Int?) -> JSONValue { value.map { .number(Int64($0)) } ?? .null }
}
