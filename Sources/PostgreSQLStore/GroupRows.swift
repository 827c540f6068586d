internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import SystemFiles
internal import Verification

/// Requests of root about all rows of the group: `list` and `reseal`. Their session belongs to no user.
enum GroupRows {
  /// The number of rows that one query reads.
  private static let page = 32

  private static let columns =
    "user_name, pg_catalog.encode(generation,'hex'), pg_catalog.encode(state,'hex'), pg_catalog.encode(credential,'hex')"

  // MARK: list

  /// Returns as many users as fit, after the one that the message names, each with the report of `status`. The report
  /// is empty if the row cannot be opened.
  static func list(_ message: Span<UInt8>, _ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    guard let last = String(validating: reader.field(of: message)), reader.isComplete(message) else {
      return HelperAnswer.encoded(.malformed)
    }
    let rows = try rows(after: last, "", session)
    session.rollBack()
    let room = HelperMessage.maximumLength - 2
    guard var writer = MessageWriter(HelperStatus.done.rawValue, capacity: room) else { return nil }
    var used = 0
    for row in rows {
      let report = report(of: row, session) ?? SecretBuffer(capacity: 0)
      guard let report else { return nil }
      let prefix = HelperMessage.prefixLength + 2
      let body = report.bytes.slice(from: prefix)
      let length = 4 + row.user.utf8.count + body.count
      guard used + length <= room else { break }
      writer.add(field: row.user.utf8.span)
      writer.add(field: body)
      used += length
    }
    return writer.finish()
  }

  /// Nil if the row cannot be opened.
  private static func report(
    of row: GroupRow, _ session: RowSession
  ) -> SecretBuffer? {
    do throws(EnrollmentFailure) {
      let text = try row.open(session)
      let credential = try Credential(parsing: text)
      var state = LoginState(generation: credential.generation)
      guard credential.generation == row.generation,
        try !row.content.readState(for: credential.generation, into: &state).isLost
      else { return nil }
      return EnrollmentReport.encoded(credential, state, limits: VerificationLimits(), now: SystemClock.now)
    } catch {
      return nil
    }
  }

  // MARK: reseal

  /// Seals some rows again, with the first key: few enough that logins wait only briefly for their locks.
  static func reseal(_ message: Span<UInt8>, _ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let limit = Int(clamping: reader.number(of: message))
    guard reader.isComplete(message), limit > 0 else { return HelperAnswer.encoded(.malformed) }
    let keys = try session.keys()
    let others = keys.ids.dropFirst().filter { $0 != keys.ids[0] }.map { "'\($0)'" }
    var resealed = 0
    if !others.isEmpty {
      var last = ""
      // Damaged rows cannot be sealed: continue with the next rows.
      while resealed == 0 {
        let rows = try rows(
          after: last, "AND sealing_key IN (\(others.joined(separator: ",")))", session, count: min(limit, page),
          locking: true)
        guard let end = rows.last else { break }
        resealed = try seal(rows, session)
        last = end.user
      }
      session.rollBack()
    }
    let results = try session.begin(
      "SELECT count(*) FROM twofactor.report WHERE host_group = \(SQLLiteral.text(session.settings.group)) "
        + "AND sealing_key <> '\(keys.ids[0])'")
    session.rollBack()
    guard let left = results.last?.first(0).flatMap({ UInt64($0) }),
      var writer = MessageWriter(HelperStatus.done.rawValue, capacity: 16)
    else { return nil }
    writer.add(number: UInt64(resealed))
    writer.add(number: left)
    return writer.finish()
  }

  /// Seals locked rows, and commits. Skips damaged ones. Returns the number of sealed rows.
  private static func seal(_ rows: [GroupRow], _ session: RowSession) throws(EnrollmentFailure) -> Int {
    var values: [String] = []
    for row in rows {
      guard let text = try? row.open(session) else { continue }
      let sealed = try session.keys().seal(
        text.bytes, of: row.user, in: session.settings.group, generation: row.generation)
      values.append("(\(SQLLiteral.text(row.user)), \(SQLLiteral.bytes(hexadecimal: sealed)))")
    }
    guard !values.isEmpty else {
      session.rollBack()
      return 0
    }
    try session.commit(
      "UPDATE twofactor.enrollment AS old SET credential = new.credential "
        + "FROM (VALUES \(values.joined(separator: ","))) AS new (user_name, credential) "
        + "WHERE old.host_group = \(SQLLiteral.text(session.settings.group)) AND old.user_name = new.user_name",
      "UPDATE \(values.count)")
    return values.count
  }

  // MARK: Rows

  /// Begins a transaction, and reads rows in the order of the names. Skips rows that cannot be parsed.
  private static func rows(
    after user: String, _ condition: String, _ session: RowSession, count: Int = page, locking: Bool = false
  ) throws(EnrollmentFailure) -> [GroupRow] {
    let results = try session.begin(
      "SELECT \(columns) FROM twofactor.enrollment WHERE host_group = \(SQLLiteral.text(session.settings.group)) "
        + "AND user_name > \(SQLLiteral.text(user)) \(condition) ORDER BY user_name LIMIT \(count)"
        + (locking ? " FOR UPDATE" : ""))
    return (results.last?.rows ?? []).compactMap(GroupRow.init)
  }
}

/// A row, and the name of its user.
private struct GroupRow {
  let user: String
  let generation: Generation
  let content: RowSession.Row

  init?(_ columns: [String?]) {
    guard columns.count == 4, let user = columns[0], let hexadecimal = columns[1],
      let generation = Generation(hexadecimal: hexadecimal.utf8.span), let state = columns[2],
      let credential = columns[3]
    else { return nil }
    self.user = user
    self.generation = generation
    content = RowSession.Row(generation: hexadecimal, state: state, credential: credential)
  }

  /// Opens the credential.
  func open(_ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer {
    let keys = try session.keys()
    let sealed = Hexadecimal.bytes(content.credential) ?? []
    do throws(StoreProblem) {
      return try keys.open(sealed.span, of: user, in: session.settings.group, generation: generation)
    } catch {
      throw session.failure(error)
    }
  }
}
