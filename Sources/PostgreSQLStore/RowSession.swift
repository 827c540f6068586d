package import Enrollment
package import FixedMemory
internal import SystemFiles

/// The row of one user in the table `twofactor.enrollment`, and the transaction that locks it. Every message to the
/// server costs one round trip.
///
/// A decision is announced only if ``commit(_:_:)`` succeeded: the server answered COMMIT without a warning, and its
/// settings make the commit durable. Any other answer, and no answer, is a failure.
package final class RowSession {
  /// The columns of a row, as hexadecimal digits.
  package struct Row: Equatable {
    package let generation: String
    package let state: String
    package let credential: String
  }

  package let settings: StoreSettings
  package let user: String

  /// The cause of the last ``EnrollmentFailure`` that this session threw.
  package private(set) var problem: StoreProblem?

  /// Replaces the credential with the next write.
  var pending: (generation: String, credential: String)?

  private var openConnection: DatabaseConnection?
  private var loadedKeys: SealingKeys?
  private var isInTransaction = false

  /// Whether this process has seen the row.
  private var hasRow = false

  /// The row that was read without its lock.
  private var snapshot: Row?

  /// The row as this process has locked or written it.
  package private(set) var current: Row?

  /// The row of `user`.
  package init(of user: String, settings: StoreSettings) {
    self.user = user
    self.settings = settings
  }

  /// The subject of a failure whose cause is ``problem``.
  package static let subject: Literal = "PostgreSQL"

  /// Stores a problem for the answer.
  package func failure(_ problem: StoreProblem) -> EnrollmentFailure {
    self.problem = problem
    return EnrollmentFailure(problem.reason, Self.subject, "failed")
  }

  /// The keys, read on first use.
  package func keys() throws(EnrollmentFailure) -> SealingKeys {
    if let loadedKeys { return loadedKeys }
    do throws(StoreProblem) {
      let keys = try SealingKeys(path: settings.sealingKeyPath)
      loadedKeys = keys
      return keys
    } catch {
      throw failure(error)
    }
  }

  private func connection() throws(StoreProblem) -> DatabaseConnection {
    if let openConnection { return openConnection }
    let connection = try DatabaseConnection(settings.connection)
    openConnection = connection
    return connection
  }

  /// Selects the row.
  private var condition: String {
    "host_group = \(SQLLiteral.text(settings.group)) AND user_name = \(SQLLiteral.text(user))"
  }

  // MARK: Reading

  /// Reads the row without its lock, on first use from the server. Throws a failure of kind `absent` if there is none.
  package func read() throws(EnrollmentFailure) -> Row {
    if let snapshot { return snapshot }
    guard let row = try begin(locking: false) else { throw try absence() }
    snapshot = row
    rollBack()
    return row
  }

  /// Begins a transaction, and locks the row. Throws a failure of kind `absent` if there is none, and `gone` if it was
  /// removed meanwhile.
  package func lock() throws(EnrollmentFailure) -> Row {
    guard let row = try begin(locking: true) else { throw try absence() }
    current = row
    return row
  }

  private func begin(locking: Bool) throws(EnrollmentFailure) -> Row? {
    let results = try begin(
      "SELECT pg_catalog.encode(generation,'hex'), pg_catalog.encode(state,'hex'), pg_catalog.encode(credential,'hex') "
        + "FROM twofactor.enrollment WHERE \(condition)\(locking ? " FOR UPDATE" : "")")
    guard let result = results.last, !result.rows.isEmpty else { return nil }
    guard let generation = result.first(0), let state = result.first(1), let credential = result.first(2) else {
      throw failure(StoreProblem(database: "the row has another form than this program knows", .configuration))
    }
    hasRow = true
    return Row(generation: generation, state: state, credential: credential)
  }

  /// Begins a transaction in which `statement` is run after the checks of the server. Returns the results.
  package func begin(_ statement: String) throws(EnrollmentFailure) -> [DatabaseConnection.Result] {
    do throws(StoreProblem) {
      let connection = try connection()
      isInTransaction = true
      let reply = connection.run(
        "BEGIN ISOLATION LEVEL READ COMMITTED; \(ServerCheck.statements(group: settings.group)) \(statement)")
      // The result of BEGIN is the first.
      try ServerCheck.verify(reply, at: 1, settings: settings)
      return reply.results
    } catch {
      rollBack()
      throw failure(error)
    }
  }

  /// The failure for an absent row, if this server would have the row of an enrolled user. With standbys, one of them
  /// must confirm a commit: a former primary that came back lacks the rows of users who enrolled meanwhile.
  private func absence() throws(EnrollmentFailure) -> EnrollmentFailure {
    do throws(StoreProblem) {
      // The transaction has locked the table, so its policies cannot change.
      try ServerCheck.verifyPolicies(connection())
    } catch {
      rollBack()
      throw failure(error)
    }
    if settings.isReplicated {
      try commit("SELECT pg_catalog.pg_logical_emit_message(true, 'twofactor', '')", nil)
    } else {
      rollBack()
    }
    return hasRow
      ? EnrollmentFailure(.gone, "enrollment", "was removed meanwhile")
      : EnrollmentFailure(.absent, "enrollment", "does not exist")
  }

  // MARK: Writing

  /// Writes the state (hexadecimal digits) and ``pending`` to the locked row, and commits. A later write begins another
  /// transaction, and fails if the row has changed meanwhile.
  package func write(state: String) throws(EnrollmentFailure) {
    guard let before = current else { throw EnrollmentFailure(.io, "enrollment", "is not locked") }
    if !isInTransaction {
      guard let row = try begin(locking: true) else { throw try absence() }
      guard row == before else {
        rollBack()
        throw EnrollmentFailure(.io, "enrollment", "was changed by another login meanwhile; try again")
      }
    }
    let row = Row(
      generation: pending?.generation ?? before.generation, state: state,
      credential: pending?.credential ?? before.credential)
    var columns = "state = \(SQLLiteral.bytes(hexadecimal: row.state))"
    if pending != nil {
      columns += ", generation = \(SQLLiteral.bytes(hexadecimal: row.generation))"
      columns += ", credential = \(SQLLiteral.bytes(hexadecimal: row.credential))"
    }
    try commit("UPDATE twofactor.enrollment SET \(columns) WHERE \(condition)", "UPDATE 1")
    current = row
  }

  /// Inserts the row.
  package func insert(_ row: Row) throws(EnrollmentFailure) {
    do throws(EnrollmentFailure) {
      _ = try begin(
        "INSERT INTO twofactor.enrollment (host_group, user_name, credential, state, generation) VALUES ("
          + "\(SQLLiteral.text(settings.group)), \(SQLLiteral.text(user)), "
          + "\(SQLLiteral.bytes(hexadecimal: row.credential)), \(SQLLiteral.bytes(hexadecimal: row.state)), "
          + "\(SQLLiteral.bytes(hexadecimal: row.generation)))")
    } catch {
      guard problem?.sqlState == ServerCheck.uniqueViolation else { throw error }
      throw EnrollmentFailure(.io, "enrollment", "was created meanwhile", error: .exists)
    }
    try commit(nil, nil)
  }

  /// Deletes the locked row.
  package func delete() throws(EnrollmentFailure) {
    guard isInTransaction else { throw EnrollmentFailure(.io, "enrollment", "is not locked") }
    try commit("DELETE FROM twofactor.enrollment WHERE \(condition)", "DELETE 1")
    current = nil
    snapshot = nil
  }

  /// Runs a statement, and commits. Fails if the statement returns another tag than `tag`, unless that is nil.
  ///
  /// If a reload empties the list of synchronous standbys, the server releases waiting commits without a warning. It
  /// applies new settings before it reads its next message, so this function checks them once more.
  package func commit(_ statement: String?, _ tag: String?) throws(EnrollmentFailure) {
    do throws(StoreProblem) {
      let connection = try connection()
      TimeLimit.unconfirmed.announce()
      let reply = connection.run((statement.map { $0 + "; " } ?? "") + "COMMIT")
      if let error = reply.error {
        let isOfStatement = statement != nil && reply.results.isEmpty && !error.state.isEmpty
        throw isOfStatement
          ? StoreProblem(error) : StoreProblem(database: "the commit was not confirmed: \(error.message)")
      }
      isInTransaction = false
      guard reply.results.count == (statement == nil ? 1 : 2), reply.results.last?.tag == "COMMIT" else {
        throw StoreProblem(database: "the transaction was rolled back")
      }
      guard tag == nil || reply.results.first?.tag == tag else {
        throw StoreProblem(database: "the row cannot be changed by this host", .configuration)
      }
      guard !reply.hasWarning else {
        throw StoreProblem(
          database: "the commit was not confirmed: the server has warned, perhaps because it was canceled")
      }
      if settings.isReplicated { try ServerCheck.verifyAgain(connection) }
      TimeLimit.noAnswer.announce()
    } catch {
      rollBack()
      throw failure(error)
    }
  }

  /// Ends a transaction without a change. PgBouncer would close its connection to the server otherwise.
  package func rollBack() {
    guard isInTransaction else { return }
    isInTransaction = false
    _ = openConnection?.run("ROLLBACK")
  }
}
