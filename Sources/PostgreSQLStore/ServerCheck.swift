internal import Enrollment

/// Which servers are trusted with a decision: the primary, if a commit is durable there, and if row security lets this
/// host see its group.
enum ServerCheck {
  /// SQLSTATE if the row to insert exists.
  static let uniqueViolation = "23505"

  /// The version of `pam/postgresql/schema.sql`.
  private static let schemaVersion = "1"

  /// The only policy of the table.
  private static let policy = "members_of_host_group"

  /// Time limits for a lock, for a statement, and for a transaction whose host sends no further statement. The first
  /// one is shorter than the second, so that a failure names the lock.
  private static let lockTimeout = "2500ms"
  private static let statementTimeout = "3s"
  private static let idleTimeout = "3s"

  /// Two statements: the first reads what ``verify(_:at:settings:)`` checks. The second one sets time-outs, lets
  /// the server send warnings, and keeps a reload from changing the durability of the commit. It does so for this
  /// transaction alone, because through PgBouncer the next client would inherit settings of the session.
  static func statements(group: String) -> String {
    """
    SELECT pg_catalog.current_setting('synchronous_commit'), pg_catalog.current_setting('fsync'), \
    pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('synchronous_standby_names'), \
    pg_catalog.pg_has_role(\(SQLLiteral.text(group))::pg_catalog.name, 'USAGE'), twofactor.version(); \
    SELECT pg_catalog.set_config('statement_timeout', '\(statementTimeout)', true), \
    pg_catalog.set_config('lock_timeout', '\(lockTimeout)', true), \
    pg_catalog.set_config('idle_in_transaction_session_timeout', '\(idleTimeout)', true), \
    pg_catalog.set_config('client_min_messages', 'notice', true), \
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
    pg_catalog.set_config('synchronous_commit', pg_catalog.current_setting('synchronous_commit'), true);
    """
  }

  /// Checks the result of the first statement, which is at `index`; then, that no other statement failed.
  static func verify(_ reply: DatabaseConnection.Reply, at index: Int, settings: StoreSettings) throws(StoreProblem) {
    if reply.results.indices.contains(index), reply.results[index].rows.count == 1 {
      try verify(reply.results[index], settings)
    } else if reply.error == nil {
      throw StoreProblem(database: "the server's settings cannot be read")
    }
    if let error = reply.error { throw StoreProblem(error) }
  }

  private static func verify(_ result: DatabaseConnection.Result, _ settings: StoreSettings) throws(StoreProblem) {
    func refused(_ problem: String) -> StoreProblem { StoreProblem(database: problem, .configuration) }
    guard result.first(2) == "f" else { throw StoreProblem(database: "the server is a standby, or still recovering") }
    guard result.first(4) == "t" else {
      throw refused("this host's role is no member of the role \(settings.group), so it cannot see its users")
    }
    guard result.first(5) == schemaVersion else {
      throw refused("the schema has another version than \(schemaVersion): install the same version on all hosts")
    }
    guard result.first(1) == "on" else {
      throw refused("fsync is off, so a crash of the server would revive used codes")
    }
    let level = result.first(0) ?? ""
    let levels = settings.isReplicated ? ["on", "remote_apply"] : ["on", "remote_apply", "remote_write", "local"]
    guard levels.contains(level) else {
      throw refused("synchronous_commit is \(level), so a crash of a server would revive used codes")
    }
    guard !settings.isReplicated || result.first(3)?.isEmpty == false else {
      throw refused("synchronous_standby_names is empty, so the loss of the server would revive used codes")
    }
  }

  /// A query that returns whether ``verifyPolicies(_:)`` would succeed, and row security is on.
  static var rowSecurity: String {
    """
    SELECT count(*) = 1 AND bool_and(polname = '\(policy)' AND polcmd = '*' AND polpermissive) \
    AND (SELECT relrowsecurity FROM pg_class WHERE oid = 'twofactor.enrollment'::regclass) \
    FROM pg_policy WHERE polrelid = 'twofactor.enrollment'::regclass
    """
  }

  /// Checks the row security of the table: a missing or an additional policy could hide a row. Expects a transaction
  /// that has read the table.
  static func verifyPolicies(_ connection: DatabaseConnection) throws(StoreProblem) {
    let reply = connection.run(
      "SELECT polname, polcmd, polpermissive FROM pg_catalog.pg_policy "
        + "WHERE polrelid = 'twofactor.enrollment'::pg_catalog.regclass")
    if let error = reply.error { throw StoreProblem(error) }
    guard reply.results.first?.rows == [[policy, "*", "t"]] else {
      throw StoreProblem(
        database: "the row security of twofactor.enrollment was changed, and may hide users: run schema.sql again",
        .configuration)
    }
  }

  /// Checks the settings that a reload may have changed during a commit.
  static func verifyAgain(_ connection: DatabaseConnection) throws(StoreProblem) {
    let reply = connection.run(
      "SELECT pg_catalog.current_setting('synchronous_standby_names'), pg_catalog.current_setting('fsync')")
    guard reply.error == nil, let result = reply.results.first, result.first(0)?.isEmpty == false,
      result.first(1) == "on"
    else {
      throw StoreProblem(database: "the commit was not confirmed: the server's settings have changed", .configuration)
    }
  }
}

extension StoreProblem {
  /// An error of a statement.
  init(_ error: DatabaseConnection.ServerError) {
    switch error.state {
    case "": self.init(database: "the connection was lost: \(error.message)")
    case "3F000", "42883", "42P01", "42703":
      self.init(database: "the database has no schema of twofactor, or another one: \(error.message)", .configuration)
    case "42501", "42704": self.init(database: error.message, .configuration)
    case "55P03": self.init(database: "timed out waiting for the lock of the row")
    default: self.init(database: "\(error.message) (SQLSTATE \(error.state))")
    }
    sqlState = error.state
  }
}
