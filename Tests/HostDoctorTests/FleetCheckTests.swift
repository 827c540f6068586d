import HostAccess
import Testing

@testable import HostDoctor

private let day: Int64 = 86_400
private let now: Int64 = 1_800_000_000

/// A healthy fleet, as `twofactor-store-postgresql` describes it.
private let healthy = """
  group web
  role web01
  database twofactor
  replicated yes
  key_file /etc/security/twofactor-sealing.key
  key 11111111
  certificate \(now + 90 * day)
  server db1.example.org
  connect 7912
  address 192.0.2.1
  tls TLSv1.3
  server_certificate \(now + 80 * day)
  authority \(now + 3000 * day)
  query 412
  clock -3
  version 15.14
  recovery no
  setting fsync on
  setting full_page_writes on
  setting log_min_duration_statement -1
  setting log_statement none
  setting synchronous_commit on
  commit_source configuration file
  setting synchronous_standby_names ANY 1 (db1, db2, db3)
  schema 1
  row_security unchanged
  may group
  may login
  may enrollment
  standbys 2
  standby db2 quorum streaming 0 2
  standby db3 quorum streaming 1024 -
  rows 1
  rows_of 11111111 12
  server db2.example.org:5433
  connect 8000
  recovery yes

  """

@Suite struct FleetReportTests {
  private let report = FleetReport(healthy)

  @Test func theLinesBeforeTheFirstServerAreThoseOfTheHost() {
    #expect([report.group, report.role, report.database] == ["web", "web01", "twofactor"])
    #expect(report.isReplicated && report.certificateEnd == now + 90 * day && report.keyProblem == nil)
    #expect(report.keys == [FleetReport.SealingKey(id: "11111111", isWaiting: false)])
    #expect(FleetReport("key 1 waits\nkey_problem is too long").keys == [.init(id: "1", isWaiting: true)])
  }

  @Test func theFirstPrimaryIsUsed() throws {
    #expect(report.servers.map(\.name) == ["db1.example.org", "db2.example.org:5433"])
    let primary = try #require(report.primary)
    #expect(primary.name == "db1.example.org" && primary.version == "15.14" && primary.connectTime == 7912)
    #expect(primary.settings["synchronous_standby_names"] == "ANY 1 (db1, db2, db3)")
    #expect(primary.standbys?.map(\.unflushed) == [0, 1024] && primary.standbys?.map(\.delay) == [2, nil])
    #expect(report.enrollments == 12 && report.otherwiseSealed == [:])
  }

  @Test(arguments: [
    ("", 0), ("db2", 1), ("db2, db3", 1), ("*", 1), ("2 (db2, db3)", 2), ("ANY 2 (*)", 2), ("FIRST 1 (a,b)", 1),
  ])
  func theNumberOfRequiredStandbysIsParsed(names: String, count: Int) {
    let report = FleetReport("server a\nrecovery no\nsetting synchronous_standby_names \(names)")
    #expect(report.primary?.requiredStandbys == count)
  }

  @Test(arguments: [
    "", "standby x", "rows_of 1 2", "server", "server a\nstandby b\nrows_of c", "key", "\n\n", "clock 1",
  ])
  func unknownAndIncompleteLinesAreIgnored(text: String) {
    #expect(FleetReport(text).primary == nil && FleetReport(text).enrollments == nil)
  }
}

@Suite struct FleetCheckTests {
  /// The findings after replacements in the description.
  private func findings(_ changes: (String, String)..., enrolls: Bool = false) -> [Finding] {
    let text = changes.reduce(healthy) { text, change in
      #expect(text.contains(change.0))
      return text.replacing(change.0, with: change.1)
    }
    return FleetCheck(FleetReport(text), window: 30, enrollsAtLogin: enrolls, now: now).findings
  }

  private func problem(_ before: String, _ after: String, enrolls: Bool = false) throws -> Finding {
    let found = findings((before, after), enrolls: enrolls).filter { $0.status != .ok }
    #expect(found.count == 1, "\(found)")
    return try #require(found.first)
  }

  @Test func aHealthyFleetHasNoProblems() {
    #expect(findings().map(\.status) == [.ok, .ok, .ok, .ok, .ok, .ok])
  }

  @Test func withoutAPrimaryLoginsAreRefused() throws {
    let found = findings(("recovery no", "recovery yes")).filter { $0.status == .failed }
    #expect(found.map(\.name) == ["postgresql_servers"])
    #expect(found.first?.detail.contains("db1.example.org is a standby; db2.example.org:5433 is a standby") == true)
  }

  @Test func twoPrimariesAreAFailure() throws {
    let finding = try problem("recovery yes", "recovery no")
    #expect(finding.summary == "postgresql_servers failed" && finding.detail.contains("primaries at once"))
    let pooled = findings(("recovery yes", "recovery no\ninstance 1"), ("recovery no\n", "recovery no\ninstance 1\n"))
    #expect(pooled.allSatisfy { $0.status == .ok })
  }

  @Test(arguments: [
    ("setting fsync on", "setting fsync off", "ALTER SYSTEM SET fsync = on"),
    ("synchronous_commit on", "synchronous_commit off", "ALTER SYSTEM SET synchronous_commit = on"),
    ("synchronous_commit on", "synchronous_commit local", "ALTER SYSTEM SET synchronous_commit = on"),
    (
      "synchronous_commit on\ncommit_source configuration file", "synchronous_commit off\ncommit_source user",
      #"ALTER ROLE "web01" RESET synchronous_commit"#
    ),
    ("ANY 1 (db1, db2, db3)", "", "ALTER SYSTEM SET synchronous_standby_names"),
    ("ANY 1", "ANY 3", "start the standbys"),
  ])
  func settingsThatLoseUsedCodesAreFailures(before: String, after: String, remedy: String) throws {
    let finding = try problem(before, after)
    #expect(finding.summary == "postgresql_durability failed" && finding.remedy?.contains(remedy) == true)
  }

  @Test func withoutStandbysALocalCommitIsEnough() {
    let found = findings(
      ("replicated yes", "replicated no"), ("ANY 1 (db1, db2, db3)", ""),
      ("synchronous_commit on", "synchronous_commit local"))
    let problems = found.filter { $0.status != .ok }
    #expect(problems.map(\.summary) == ["postgresql_durability warning"])
    #expect(problems.first?.detail.contains("does not wait for its standbys") == true)
  }

  @Test func aHostThatIgnoresStandbysIsAWarning() throws {
    let finding = try problem("replicated yes", "replicated no")
    #expect(finding.summary == "postgresql_durability warning")
    #expect(finding.remedy == "in /etc/security/twofactor-postgresql.conf: replicated = yes")
  }

  @Test(arguments: [
    ("may group\n", "", #"GRANT "web" TO "web01""#), ("may login\nmay enrollment\n", "", "GRANT twofactor_login"),
  ])
  func missingRightsAreFailures(before: String, after: String, remedy: String) throws {
    let finding = try problem(before, after)
    #expect(finding.summary == "postgresql_rights failed" && finding.remedy?.contains(remedy) == true)
  }

  @Test func changedRowSecurityIsAFailure() throws {
    let finding = try problem("row_security unchanged", "row_security changed")
    #expect(finding.summary == "postgresql_rights failed" && finding.remedy?.contains("schema.sql") == true)
  }

  @Test func enrollmentAtLoginNeedsARight() throws {
    #expect(findings(("may enrollment\n", "")).allSatisfy { $0.status == .ok })
    #expect(try problem("may enrollment\n", "", enrolls: true).summary == "postgresql_rights failed")
  }

  @Test(arguments: [
    ("SUPERUSER", #"ALTER ROLE "web01" NOSUPERUSER"#), ("mail\nexcess_of web01", #"REVOKE "mail" FROM "web01""#),
    ("a'b\nexcess_of web", #"REVOKE "a'\''b" FROM "web""#),
  ])
  func unneededRightsAreWarnings(excess: String, remedy: String) throws {
    let finding = try problem("may login\n", "may login\nexcess \(excess)\n")
    #expect(finding.summary == "postgresql_rights warning")
    #expect(finding.remedy == "on db1.example.org:\nsudo -u postgres psql -c '\(remedy)'")
  }

  @Test(arguments: [(29, "warning"), (0, "failed"), (-5, "failed")])
  func certificatesExpire(days: Int64, status: String) throws {
    for (before, valid) in [("server_certificate", 80), ("\ncertificate", 90), ("authority", 3000)] as [(String, Int64)]
    {
      let finding = try problem("\(before) \(now + valid * day)", "\(before) \(now + days * day)")
      #expect(finding.summary == "postgresql_certificates \(status)")
    }
  }

  @Test func sealingKeysAreCompared() throws {
    let foreign = try problem("rows_of 11111111 12", "rows_of 11111111 10\nrows_of 22222222 2")
    #expect(foreign.summary == "postgresql_keys failed")
    #expect(
      foreign.detail.hasPrefix("2 of 12 enrollments are sealed with a key that this host does not have (22222222)"))
    let old = findings(("key 11111111", "key 11111111\nkey 22222222"), ("rows_of 11111111 12", "rows_of 22222222 12"))
    #expect(old.filter { $0.status != .ok }.map(\.remedy) == ["twofactor fleet rekey"])
    #expect(findings(("key 11111111", "key 11111111\nkey 22222222 waits")).allSatisfy { $0.status == .ok })
    let new = findings(
      ("key 11111111", "key 11111111\nkey 22222222 waits"), ("rows_of 11111111 12", "rows_of 22222222 12"))
    #expect(new.filter { $0.status != .ok }.allSatisfy { $0.detail.contains("the new key 22222222") })
    #expect(new.filter { $0.status != .ok }.map(\.summary) == ["postgresql_keys warning"])
    #expect(try problem("key 11111111", "key_problem has no key").summary == "postgresql_keys failed")
  }

  @Test(arguments: [
    ("setting log_statement none", "setting log_statement mod", "log_statement = none"),
    ("log_min_duration_statement -1", "log_min_duration_statement 0", "log_min_duration_statement = -1"),
    (
      "setting fsync on", "setting fsync on\nsetting auto_explain.log_min_duration 0",
      "auto_explain.log_min_duration = -1"
    ),
  ])
  func aServerThatLogsStatementsIsAWarning(before: String, after: String, remedy: String) throws {
    let finding = try problem(before, after)
    #expect(finding.summary == "postgresql_log warning")
    #expect(finding.remedy?.contains("ALTER SYSTEM SET \(remedy)") == true)
  }

  @Test func aClockThatDiffersIsAWarning() throws {
    #expect(try problem("clock -3", "clock 12400").detail.hasPrefix("the clock is 12 seconds behind that of db1"))
    #expect(try problem("clock -3", "clock -12600").detail.hasPrefix("the clock is 13 seconds ahead of that of db1"))
    #expect(findings(("clock -3", "clock 2900")).allSatisfy { $0.status == .ok })
  }

  @Test func aServerThatDoesNotAnswerIsAWarning() throws {
    let finding = try problem("connect 8000\nrecovery yes", "problem Connection refused")
    #expect(finding.summary == "postgresql_servers warning")
    #expect(finding.detail.hasPrefix("db2.example.org:5433 does not answer: Connection refused"))
  }

  @Test func aSingleServerInTheConnectionIsAWarning() throws {
    let finding = try problem("server db2.example.org:5433\nconnect 8000\nrecovery yes\n", "")
    #expect(finding.detail.hasPrefix("connection names only db1.example.org"))
  }

  @Test(arguments: [("schema 1\n", ""), ("schema 1", "schema 2")])
  func anotherSchemaIsAFailure(before: String, after: String) {
    #expect(findings((before, after)).contains { $0.summary == "postgresql_servers failed" })
  }
}

@Suite struct PostgreSQLCheckTests {
  private let settings = "/etc/security/twofactor-postgresql.conf"
  private let key = "/etc/security/twofactor-sealing.key"
  private let program = "/usr/libexec/twofactor/twofactor-store-postgresql"

  private func host() throws -> TemporaryHost {
    let host = try TemporaryHost([
      "/etc/pam.d/x": "auth required pam_twofactor.so\n", HostSettings.path: "store = postgresql\n",
    ])
    try host.makeHostStore()
    try host.write(settings, "group = web\n", mode: 0o640)
    try host.write(key, "", mode: 0o640)
    try host.write(program, "", mode: 0o755)
    return host
  }

  private func problems(_ host: TemporaryHost) throws -> [Finding] {
    let rules = try host.stack("x").twoFactorRules
    return host.read { PostgreSQLCheck(tree: $0).findings(of: rules) }.filter { $0.status == .failed }
  }

  @Test func rightFilesAreNoProblem() throws { #expect(try problems(host()) == []) }

  @Test func anotherStoreIsNotChecked() throws {
    let host = try TemporaryHost(["/etc/pam.d/x": "auth required pam_twofactor.so\n"])
    let rules = try host.stack("x").twoFactorRules
    #expect(host.read { PostgreSQLCheck(tree: $0).findings(of: rules) } == [])
  }

  @Test(arguments: [
    ("/etc/security/twofactor-postgresql.conf", 0o644, "is readable by every user"),
    ("/etc/security/twofactor-postgresql.conf", 0o660, "others than root can write"),
    ("/etc/security/twofactor-sealing.key", 0o644, "is readable by every user"),
    ("/etc/security/twofactor-sealing.key", 0o600, "is not readable by the group _twofactor"),
    ("/usr/libexec/twofactor/twofactor-store-postgresql", 0o775, "does not have the owner root and the mode 755"),
    ("/usr/libexec/twofactor/twofactor-store-postgresql", 0o644, "does not have the owner root and the mode 755"),
  ])
  func aWrongModeIsFound(path: String, mode: Int, words: String) throws {
    let host = try host()
    try host.change(path, mode: mode)
    let finding = try #require(try problems(host).first)
    #expect(finding.name == "postgresql" && finding.detail.contains(words))
    #expect(finding.remedy?.contains("chmod \(path.hasPrefix("/usr") ? "755" : "640") \(path)") == true)
  }

  @Test func missingFilesAreFound() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/x": "auth required pam_twofactor.so store=postgresql\n"
    ])
    let details = try problems(host).map(\.detail)
    #expect(details.count == 3 && details[0].hasPrefix("twofactor-store-postgresql is not installed"))
    try host.write(program, "", mode: 0o755)
    try host.makeHostStore()
    try host.write(settings, "sealing_key = /etc/keys\n", mode: 0o640)
    #expect(try problems(host) == [])
  }
}
