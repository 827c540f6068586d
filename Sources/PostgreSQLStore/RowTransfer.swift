internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import Verification

/// Requests of root that move whole enrollments: `put` and `export`.
enum RowTransfer {
  /// Creates the row of an enrollment. If the row exists in the same generation, marks the used codes of the state as
  /// used, so that a move that was killed can be repeated.
  static func put(
    _ message: Span<UInt8>, _ session: RowSession
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let text = reader.field(of: message)
    let record = LoginState.Record(reader.rest(of: message))
    guard record.isIntact, record.hasKnownVersion, let credential = copy(of: text) else {
      return HelperAnswer.encoded(.malformed)
    }
    let generation = record.generation
    guard try Credential(parsing: credential).generation == generation else { return HelperAnswer.encoded(.malformed) }
    var state = LoginState(generation: generation)
    record.read(into: &state)
    do throws(EnrollmentFailure) {
      try addUses(of: state, EnrollmentRow(session).locked(VerificationLimits()))
    } catch {
      guard error.reason == .absent else { throw error }
      try session.insert(session.row(text, generation: generation, state, sequence: record.sequence))
    }
    return HelperAnswer.encoded(.done)
  }

  private static func addUses(
    of state: LoginState, _ locked: consuming LockedEnrollment<RowLock>
  ) throws(EnrollmentFailure) {
    guard locked.credential.generation == state.generation else {
      throw EnrollmentFailure(.io, "enrollment", "exists, and is a different one", error: .exists)
    }
    locked.state.value.addUses(of: state)
    try locked.save()
  }

  // Inlined, its buffer crashes version 6.3 of the compiler.
  @inline(never)
  private static func copy(of bytes: Span<UInt8>) -> SecretBuffer? {
    guard var copy = SecretBuffer(capacity: bytes.count) else { return nil }
    guard copy.append(bytes) else { return nil }
    return copy
  }

  /// Returns credential and state. With the record of a state in the message, deletes the row instead if its state is
  /// still that record.
  static func export(
    _ message: Span<UInt8>, _ session: RowSession
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let expected = reader.rest(of: message)
    guard expected.count == 0 || expected.count == LoginState.recordLength else {
      return HelperAnswer.encoded(.malformed)
    }
    let row = try session.lock()
    defer { session.rollBack() }
    if expected.count > 0, row.state == Hexadecimal.text(expected) {
      try session.delete()
      return HelperAnswer.encoded(.done)
    }
    let keys = try session.keys()
    guard let generation = Generation(hexadecimal: row.generation.utf8.span),
      let sealed = Hexadecimal.bytes(row.credential), let state = Hexadecimal.bytes(row.state)
    else { throw EnrollmentFailure(.corrupt, "enrollment", "has another form than this program knows") }
    let text: SecretBuffer
    do throws(StoreProblem) {
      text = try keys.open(sealed.span, of: session.user, in: session.settings.group, generation: generation)
    } catch {
      throw session.failure(error)
    }
    guard var writer = MessageWriter(HelperStatus.done.rawValue, capacity: 2 + text.count + state.count) else {
      return nil
    }
    writer.add(field: text.bytes)
    writer.add(rest: state.span)
    return writer.finish()
  }
}
