import Enrollment
import FixedMemory
import HelperProtocol
import HostAccess
import HostDoctor

/// The row of an account in the store on PostgreSQL, with its secrets. For root.
struct DatabaseRow {
  let account: UserAccount

  /// What a row contains.
  final class Content {
    let credential: Credential
    let state: LoginState
    /// The state as it is stored.
    let record: SecretBuffer

    private init(_ credential: consuming Credential, _ state: LoginState, _ record: consuming SecretBuffer) {
      self.credential = credential
      self.state = state
      self.record = record
    }

    /// Nil if the answer is invalid.
    fileprivate static func parsed(_ answer: Span<UInt8>) -> Content? {
      var reader = MessageReader()
      let (text, record) = (reader.field(of: answer), reader.rest(of: answer))
      guard reader.isComplete(answer), let credential = credential(copy(text)) else { return nil }
      let parsed = LoginState.Record(record)
      guard parsed.isIntact, parsed.hasKnownVersion, parsed.generation == credential.generation else { return nil }
      var state = LoginState(generation: credential.generation)
      parsed.read(into: &state)
      guard let copied = copy(record) else { return nil }
      return Content(credential, state, copied)
    }

    private static func credential(_ text: consuming SecretBuffer?) -> Credential? {
      guard let text else { return nil }
      do throws(EnrollmentFailure) {
        return try Credential(parsing: text)
      } catch {
        return nil
      }
    }

    @inline(never)
    private static func copy(_ bytes: Span<UInt8>) -> SecretBuffer? {
      guard var copy = SecretBuffer(capacity: bytes.count) else { return nil }
      guard copy.append(bytes) else { return nil }
      return copy
    }
  }

  /// Nil if the user is not enrolled there.
  func content() throws -> Content? { try content(removing: nil) }

  /// Removes the row if its state is still that of `old`, and returns nil. Otherwise returns its present content.
  ///
  /// If this throws, it is unknown whether the row was removed; if so, its state was that of `old`.
  func remove(_ old: Content) throws -> Content? { try content(removing: old) }

  private func content(removing old: Content?) throws -> Content? {
    guard var writer = MessageWriter(HelperRequest.export.rawValue, capacity: LoginState.recordLength) else {
      throw SetupError.outOfMemory
    }
    if let old { writer.add(record: old.record) }
    let answer = try ask(writer.finish())
    let message = answer.message.bytes
    guard answer.status == .done, message.count > HelperMessage.emptyLength else { return nil }
    guard let content = Content.parsed(message) else {
      throw SetupError(.unusableData, "the row of \(account.nameText) in the database is damaged")
    }
    return content
  }

  /// Creates the row, or marks the used codes of the state as used in a row with the same generation.
  ///
  /// If this throws an error of status `inputOutput`, it is unknown whether the row exists.
  func put(_ credential: borrowing Credential, _ state: LoginState) throws {
    let text = credential.fileText
    guard
      var writer = MessageWriter(HelperRequest.put.rawValue, capacity: 2 + text.count + LoginState.recordLength),
      var record = SecretBuffer(capacity: LoginState.recordLength), state.appendRecord(sequence: 1, to: &record)
    else { throw SetupError.outOfMemory }
    writer.add(field: text)
    writer.add(rest: record.bytes)
    guard try ask(writer.finish()).status == .done else {
      throw SetupError(.refused, "the row of \(account.nameText) was removed meanwhile", hint: "run the command again")
    }
  }

  /// Returns answers of status `done` and `absent`.
  private func ask(_ request: consuming SecretBuffer?) throws -> HelperAnswer {
    try HelperProgram.store(of: account.nameText).answer(to: request)
  }
}

extension MessageWriter {
  fileprivate mutating func add(record: borrowing SecretBuffer) { add(rest: record.bytes) }
}

extension HelperProgram {
  /// Returns answers of status `done` and `absent`; throws for all others. For requests of root.
  func answer(to request: consuming SecretBuffer?) throws -> HelperAnswer {
    let answer = try ask(request)
    try requireResult(answer)
    return answer
  }

  private func requireResult(_ answer: borrowing HelperAnswer) throws {
    if answer.status == .done || answer.status == .absent { return }
    guard let reason = answer.reason else { throw SetupError(.configuration, "\(name) gave no valid answer") }
    let text = String(decoding: answer.text)
    switch reason {
    case .configuration: throw SetupError(.configuration, text, hint: "see what to correct: twofactor doctor")
    case .io: throw SetupError(.inputOutput, text, hint: "see the state of the servers: twofactor fleet status")
    default: throw SetupError(.unusableData, text)
    }
  }
}

/// All enrollments that this host may read in the store on PostgreSQL. For root.
enum DatabaseUsers {
  /// Names in the order of the database; a status is nil if the row cannot be opened.
  static func all() throws -> [(name: String, status: EnrollmentStatus?)] {
    var users: [(name: String, status: EnrollmentStatus?)] = []
    while try appendPage(to: &users) {}
    return users
  }

  /// Returns false at the end.
  private static func appendPage(to users: inout [(name: String, status: EnrollmentStatus?)]) throws -> Bool {
    let last = users.last?.name ?? ""
    guard var writer = MessageWriter(HelperRequest.list.rawValue, capacity: 2 + last.utf8.count) else {
      throw SetupError.outOfMemory
    }
    writer.add(field: last.utf8.span)
    let answer = try HelperProgram.store(of: nil).answer(to: writer.finish())
    let message = answer.message.bytes
    var reader = MessageReader()
    let count = users.count
    while !reader.isComplete(message) {
      let name = String(decoding: reader.field(of: message))
      let report = reader.field(of: message)
      guard !name.isEmpty, name != last else {
        throw SetupError(.configuration, "\(StoreProgram.name) gave no valid answer")
      }
      users.append((name, try status(of: name, report)))
    }
    return users.count > count
  }

  /// `report`: the body of the answer to `status`.
  private static func status(of user: String, _ report: Span<UInt8>) throws -> EnrollmentStatus? {
    guard report.count > 0 else { return nil }
    guard var message = SecretBuffer(capacity: HelperMessage.emptyLength + report.count),
      message.append(HelperMessage.version), message.append(HelperStatus.done.rawValue), message.append(report)
    else { throw SetupError.outOfMemory }
    return EnrollmentStatus(user: user, directory: EnrollmentStore.database, message.bytes)
  }
}
