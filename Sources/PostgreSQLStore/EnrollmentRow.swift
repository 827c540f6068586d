package import Enrollment
internal import EnrollmentRequests
internal import FixedMemory
internal import SystemFiles

/// An enrollment in a row of the table. Reads the row on first use.
package struct EnrollmentRow: OpenEnrollment, ~Copyable {
  package let session: RowSession

  package init(_ session: RowSession) { self.session = session }

  package borrowing func readCredential() throws(EnrollmentFailure) -> Credential {
    try session.credential(of: session.read())
  }

  /// Reads the row without its lock. Does not recreate a lost state.
  package borrowing func snapshot() throws(EnrollmentFailure) -> EnrollmentSnapshot {
    let row = try session.read()
    let credential = try session.credential(of: row)
    var state = LoginState(generation: credential.generation)
    guard try !row.readState(for: credential.generation, into: &state).isLost else { throw .lostState }
    return EnrollmentSnapshot(credential: credential, state: state)
  }

  package borrowing func locked(
    window: UInt64, failuresAfterLoss: UInt32
  ) throws(EnrollmentFailure) -> LockedEnrollment<RowLock> {
    let row = try session.lock()
    let lock = RowLock(session)
    let credential = try session.credential(of: row)
    guard var state = HeapValue(LoginState(generation: credential.generation)) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    let finding = try row.readState(for: credential.generation, into: &state.value)
    let enrollment = LockedEnrollment(
      credential: credential, state: state, lock: lock, sequence: finding.sequence, slot: 0)
    if finding.isLost {
      try Self.assumeLoss(of: enrollment, window: window, failures: failuresAfterLoss)
      throw .lostState
    }
    return enrollment
  }

  private static func assumeLoss(
    of enrollment: borrowing LockedEnrollment<RowLock>, window: UInt64, failures: UInt32
  ) throws(EnrollmentFailure) {
    var assumed = enrollment.state.value
    assumed.assumeLoss(of: enrollment.credential, now: SystemClock.now, window: window, failures: failures)
    try enrollment.save(assumed)
  }

  /// Replaces an enrollment that logins reject, by one update: there is always a row.
  borrowing func overwrite(by change: borrowing EnrollmentChange) throws(EnrollmentFailure) {
    guard let generation = Generation.new() else {
      throw EnrollmentFailure(.io, "generation", "no random numbers", error: .current)
    }
    try overwrite(by: RenewedEnrollment(change, generation: generation))
  }

  private borrowing func overwrite(by renewed: borrowing RenewedEnrollment) throws(EnrollmentFailure) {
    let row = try session.lock()
    defer { session.rollBack() }
    var ignored = LoginState(generation: renewed.state.generation)
    let sequence = try row.readState(for: renewed.state.generation, into: &ignored).sequence
    let next = try session.row(
      renewed.credential.bytes, generation: renewed.state.generation, renewed.state, sequence: sequence &+ 1)
    session.pending = (next.generation, next.credential)
    defer { session.pending = nil }
    try session.write(state: next.state)
  }

  package borrowing func replace(
    _ enrollment: borrowing LockedEnrollment<RowLock>, with credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure) {
    session.pending = try (
      state.generation.hexadecimal, session.sealed(credential, generation: state.generation)
    )
    defer { session.pending = nil }
    try enrollment.save(state)
  }
}

/// The lock of a row: a transaction, which ends with the first write.
package struct RowLock: EnrollmentLock, ~Copyable {
  private let session: RowSession

  fileprivate init(_ session: RowSession) { self.session = session }

  deinit { session.rollBack() }

  /// Writes the state and commits. A later write fails if the row has changed meanwhile.
  package borrowing func write(
    _ state: borrowing LoginState, sequence: UInt64, slot: Int
  ) throws(EnrollmentFailure) {
    try session.write(state: RowSession.record(of: state, sequence: sequence))
  }
}

/// The place of a row, which may be absent.
package struct RowPlace: EnrollmentPlace, ~Copyable {
  private let session: RowSession

  package init(_ session: RowSession) { self.session = session }

  /// Does not read the row.
  package borrowing func open() throws(EnrollmentFailure) -> EnrollmentRow { EnrollmentRow(session) }

  package borrowing func snapshot(of opened: borrowing EnrollmentRow) throws(EnrollmentFailure) -> EnrollmentSnapshot {
    try opened.snapshot()
  }

  package borrowing func create(_ renewed: borrowing RenewedEnrollment) throws(EnrollmentFailure) {
    try session.insert(
      session.row(renewed.credential.bytes, generation: renewed.state.generation, renewed.state, sequence: 1))
  }

  package borrowing func remove(
    _ opened: borrowing EnrollmentRow, _ locked: borrowing LockedEnrollment<RowLock>
  ) throws(EnrollmentFailure) {
    try session.delete()
  }

  /// Does nothing. A database needs no register: a primary proves that a user is not enrolled.
  package borrowing func noteEnrollment() {}
}

extension RowSession {
  /// Opens and parses the credential of a row.
  package func credential(of row: Row) throws(EnrollmentFailure) -> Credential {
    guard let generation = Generation(hexadecimal: row.generation.utf8.span),
      let sealed = Hexadecimal.bytes(row.credential)
    else { throw EnrollmentFailure(.corrupt, "enrollment", "has another form than this program knows") }
    let keys = try keys()
    let text: SecretBuffer
    do throws(StoreProblem) {
      text = try keys.open(sealed.span, of: user, in: settings.group, generation: generation)
    } catch {
      throw failure(error)
    }
    let credential = try Credential(parsing: text)
    guard credential.generation == generation else {
      throw EnrollmentFailure(.corrupt, "credential", "has another generation than its row")
    }
    return credential
  }

  /// The credential of the row that was locked last.
  func lockedCredential() throws(EnrollmentFailure) -> Credential {
    guard let current else { throw EnrollmentFailure(.io, "enrollment", "is not locked") }
    return try credential(of: current)
  }

  /// The sealed credential as hexadecimal digits.
  func sealed(_ credential: Span<UInt8>, generation: Generation) throws(EnrollmentFailure) -> String {
    try keys().seal(credential, of: user, in: settings.group, generation: generation)
  }

  /// A row to write.
  package func row(
    _ credential: Span<UInt8>, generation: Generation, _ state: borrowing LoginState, sequence: UInt64
  ) throws(EnrollmentFailure) -> Row {
    Row(
      generation: generation.hexadecimal,
      state: try Self.record(of: state, sequence: sequence),
      credential: try sealed(credential, generation: generation))
  }

  /// The record of a state as hexadecimal digits.
  static func record(of state: borrowing LoginState, sequence: UInt64) throws(EnrollmentFailure) -> String {
    guard let text = Self.text(of: state, sequence: sequence) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    return text
  }

  // Inlined, its buffer crashes version 6.3 of the compiler.
  @inline(never)
  private static func text(of state: borrowing LoginState, sequence: UInt64) -> String? {
    guard var record = SecretBuffer(capacity: LoginState.recordLength) else { return nil }
    return state.appendRecord(sequence: sequence, to: &record) ? Hexadecimal.text(record.bytes) : nil
  }
}

extension RowSession.Row {
  struct Finding {
    /// Whether the record is damaged, or belongs to another generation.
    let isLost: Bool

    /// The sequence number of the record; if it is lost, the number before that of the next record.
    let sequence: UInt64
  }

  /// Copies the state if it belongs to the generation.
  func readState(for generation: Generation, into state: inout LoginState) throws(EnrollmentFailure) -> Finding {
    let bytes = Hexadecimal.bytes(self.state) ?? []
    let record = LoginState.Record(bytes.span)
    guard record.isIntact else { return Finding(isLost: true, sequence: 0) }
    guard record.hasKnownVersion else { throw EnrollmentFailure(.corrupt, "state", "has an unknown version") }
    guard record.generation == generation else { return Finding(isLost: true, sequence: record.sequence) }
    record.read(into: &state)
    return Finding(isLost: false, sequence: record.sequence)
  }
}

extension Generation {
  fileprivate var hexadecimal: String {
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for index in 0..<Self.length { bytes[index] = byte(at: index) }
    return Hexadecimal.text(bytes.span)
  }
}
