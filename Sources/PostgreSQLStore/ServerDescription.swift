internal import CPostgreSQL
internal import Glibc

/// Describes one server for `twofactor fleet status` and doctor, in lines `NAME VALUE` (`pam/helper-protocol.md`).
struct ServerDescription {
  private let settings: StoreSettings
  private(set) var text = ""

  /// Settings of the server that matter for the durability of a commit, or that write statements to its log.
  private static let reported = [
    "synchronous_commit", "fsync", "full_page_writes", "synchronous_standby_names", "log_statement",
    "log_min_duration_statement", "log_min_duration_sample", "log_transaction_sample_rate",
    "log_parameter_max_length", "log_parameter_max_length_on_error", "auto_explain.log_min_duration", "pgaudit.log",
  ]

  private static let roles = ["twofactor_login", "twofactor_enrollment", "twofactor_report"]

  /// Connects to one server of the settings with these parameters.
  init(_ parameters: [ConnectionParameter], settings: StoreSettings) {
    self.settings = settings
    do throws(StoreProblem) {
      let start = Self.microseconds(CLOCK_MONOTONIC)
      let connection = try DatabaseConnection(parameters)
      add("connect", Self.microseconds(CLOCK_MONOTONIC) - start)
      describe(connection)
    } catch {
      add("problem", Self.reason(in: error.text))
    }
  }

  /// The cause, without the parts of libpq's message that name the server.
  private static func reason(in text: String) -> String {
    let cause = text.split(separator: ";").first.map(String.init) ?? text
    return cause.split(separator: " failed: ").last.map(String.init) ?? text
  }

  private mutating func describe(_ connection: DatabaseConnection) {
    if let address = connection.address { add("address", address) }
    if let version = connection.tlsVersion { add("tls", version) }
    for (name, isAuthority) in [("server_certificate", false), ("authority", true)] {
      if let end = connection.certificateEnd(ofAuthority: isAuthority) { add(name, end) }
    }
    describeClock(connection)
    let instance = """
      SELECT current_setting('server_version'), pg_is_in_recovery(), \
      (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
      """
    for row in rows(instance, connection) {
      add("version", row[0].prefix { $0 != " " })
      add("recovery", row[1] == "t" ? "yes" : "no")
      add("instance", row[2])
    }
    let names = Self.reported.map { "'\($0)'" }.joined(separator: ",")
    for row in rows("SELECT name, setting, source FROM pg_settings WHERE name IN (\(names))", connection) {
      add("setting", row[0] + " " + row[1])
      if row[0] == "synchronous_commit" { add("commit_source", row[2]) }
    }
    describeRights(connection)
  }

  private mutating func describeClock(_ connection: DatabaseConnection) {
    let (start, before) = (Self.microseconds(CLOCK_MONOTONIC), Self.microseconds(CLOCK_REALTIME))
    guard let row = rows("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", connection).first,
      let time = Int(row[0])
    else { return }
    // The server reads its clock about half of the round trip after the start.
    let duration = Self.microseconds(CLOCK_MONOTONIC) - start
    add("query", duration)
    add("clock", (time - before - duration / 2) / 1_000)
  }

  private mutating func describeRights(_ connection: DatabaseConnection) {
    if let row = rows("SELECT twofactor.version()", connection).first { add("schema", row[0]) }
    if let row = rows(ServerCheck.rowSecurity, connection).first {
      add("row_security", row[0] == "t" ? "unchanged" : "changed")
    }
    let group = SQLLiteral.text(settings.group)
    let roles = Self.roles.map { "'\($0)'" }.joined(separator: ",")
    let mine = "rolname = \(group) OR rolname IN (\(roles))"
    var isMember = false
    let rights = "SELECT rolname FROM pg_roles WHERE (\(mine)) AND pg_has_role(oid, 'USAGE')"
    for row in rows(rights, connection) {
      isMember = isMember || row[0] == settings.group
      add("may", row[0] == settings.group ? "group" : row[0].dropFirst("twofactor_".count))
    }
    let attributes = ["rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication"]
    let words = ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"]
    let own = "SELECT \(attributes.joined(separator: ",")) FROM pg_roles WHERE rolname = current_user"
    var isSuperuser = false
    for row in rows(own, connection) {
      isSuperuser = row[0] == "t"
      for (word, value) in zip(words, row) where value == "t" { add("excess", word) }
    }
    // Roles granted to this host's role, or to a role that it needs. A superuser counts as a member of all roles.
    let others = """
      SELECT DISTINCT role.rolname, member.rolname FROM pg_auth_members AS grants \
      JOIN pg_roles AS role ON role.oid = grants.roleid JOIN pg_roles AS member ON member.oid = grants.member \
      WHERE role.rolname <> \(group) AND role.rolname NOT IN (\(roles)) AND pg_has_role(role.oid, 'MEMBER') \
      AND pg_has_role(member.oid, 'MEMBER') AND NOT \(isSuperuser) AND (member.rolname = current_user \
      OR member.rolname = \(group) OR member.rolname IN (\(roles))) ORDER BY 1, 2 LIMIT 16
      """
    for row in rows(others, connection) {
      add("excess", row[0])
      add("excess_of", row[1])
    }
    describeReplication(connection)
    guard isMember else { return }
    let counts = "SELECT sealing_key, count(*) FROM twofactor.report WHERE host_group = \(group) GROUP BY 1"
    guard let rows = answer(counts, connection) else { return }
    add("rows", rows.count)
    for row in rows { add("rows_of", row[0] + " " + row[1]) }
  }

  private mutating func describeReplication(_ connection: DatabaseConnection) {
    let standbys = """
      SELECT regexp_replace(name, '[[:space:]]', '_', 'g'), sync_state, state, coalesce(unflushed::text, '-'), \
      coalesce(round(extract(epoch FROM flush_lag) * 1000)::text, '-') FROM twofactor.replication() \
      ORDER BY name LIMIT 32
      """
    guard let rows = answer(standbys, connection) else { return }
    add("standbys", rows.count)
    for row in rows { add("standby", row.joined(separator: " ")) }
  }

  // MARK: Queries

  private func rows(_ statement: String, _ connection: DatabaseConnection) -> [[String]] {
    answer(statement, connection) ?? []
  }

  /// Nil on failure: the description then lacks the lines.
  private func answer(_ statement: String, _ connection: DatabaseConnection) -> [[String]]? {
    let reply = connection.run(
      """
      BEGIN READ ONLY; SET LOCAL statement_timeout = '2s'; SET LOCAL search_path = pg_catalog, pg_temp; \
      \(statement); COMMIT
      """)
    guard reply.error == nil, reply.results.count == 5 else {
      _ = connection.run("ROLLBACK")
      return nil
    }
    return reply.results[3].rows.map { $0.map { $0 ?? "" } }
  }

  private mutating func add(_ name: String, _ value: some CustomStringConvertible) {
    let line = value.description.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : String($0) }
    text += name + " " + line.joined() + "\n"
  }

  private static func microseconds(_ clock: clockid_t) -> Int {
    var time = timespec()
    // SAFETY: the structure outlives the call.
    unsafe clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
  }
}
