internal import FixedMemory
internal import SystemFiles

/// The open file `state`, locked for writing.
///
/// The file has two slots, 4096 bytes apart, each with two copies of a record (`pam/credential-format.md`). An update
/// overwrites the older slot in place: a torn write leaves the other slot intact, a full disk does not matter, and
/// owner, mode and label stay. If both copies of a slot are invalid, the file was damaged otherwise, and its used codes
/// cannot be trusted.
///
/// Public only because Embedded Swift must see its `deinit` in every module that destroys its owner.
public struct StateFile: EnrollmentLock, ~Copyable {
  static var slotDistance: Int { 4096 }
  static var length: Int { 2 * slotDistance }

  /// In milliseconds.
  private static var lockTimeout: Int { 10_000 }

  let file: OpenFile

  enum Finding {
    /// The sequence number and the slot of the newest record of the credential.
    case current(sequence: UInt64, slot: Int)

    /// No record is certainly the newest. Write the next one with this sequence number.
    case lost(sequence: UInt64)
  }

  /// Acquires the lock, or times out.
  init(locking file: consuming OpenFile) throws(EnrollmentFailure) {
    var waited = 0
    var pause = 1
    while true {
      do throws(Errno) {
        try file.tryLock()
        break
      } catch {
        guard error == .wouldBlock || error == .interrupted else {
          throw EnrollmentFailure(.io, "state", "cannot be locked", error: error)
        }
      }
      guard waited < Self.lockTimeout else { throw EnrollmentFailure(.io, "state", "timed out waiting for the lock") }
      SystemClock.pause(milliseconds: pause)
      waited &+= pause
      pause = Swift.min(pause &+ 1, 20)
    }
    self.file = file
  }

  /// Without the lock, a record may be half written and thus invalid.
  init(unlocked file: consuming OpenFile) { self.file = file }

  deinit { file.unlock() }

  /// Reads both slots, and copies the newest state of a generation, if any.
  func read(for generation: Generation, into state: inout LoginState) throws(EnrollmentFailure) -> Finding {
    guard var buffer = SecretBuffer(capacity: Self.slotDistance &+ 2 &* LoginState.recordLength) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    try attempt("state", "cannot be read", file.read(into: &buffer))
    let first = Slot(at: 0, of: buffer.bytes, generation)
    let second = Slot(at: Self.slotDistance, of: buffer.bytes, generation)
    guard !first.hasUnknownVersion, !second.hasUnknownVersion else {
      throw EnrollmentFailure(.corrupt, "state", "has an unknown version")
    }
    let isFirstNewer = first.hasRecord && (!second.hasRecord || first.sequence > second.sequence)
    let newest = isFirstNewer ? first : second
    if newest.hasRecord { LoginState.Record(buffer.bytes.slice(from: newest.start)).read(into: &state) }
    guard newest.hasRecord, !first.isDamaged, !second.isDamaged else {
      return .lost(sequence: Swift.max(first.highestSequence, second.highestSequence) &+ 1)
    }
    return .current(sequence: newest.sequence, slot: isFirstNewer ? 0 : 1)
  }

  /// Overwrites a slot, and flushes it.
  @_optimize(speed)
  public func write(_ state: borrowing LoginState, sequence: UInt64, slot: Int) throws(EnrollmentFailure) {
    guard var copies = SecretBuffer(capacity: 2 &* LoginState.recordLength),
      state.appendRecord(sequence: sequence, to: &copies), copies.repeatContent()
    else { throw EnrollmentFailure(.io, "state", "out of memory") }
    try attempt("state", "cannot be written", file.write(copies.bytes, at: slot == 0 ? 0 : Self.slotDistance))
    try attempt("state", "cannot be flushed", file.flush())
  }

  /// Overwrites the whole file, so that no later update needs disk space, and flushes it.
  func rewrite(_ state: borrowing LoginState, sequence: UInt64) throws(EnrollmentFailure) {
    // This has an effect only on an empty file.
    file.disableCopyOnWrite()
    let zeros = InlineArray<1024, UInt8>(repeating: 0)
    for offset in stride(from: 0, to: Self.length, by: zeros.count) {
      try attempt("state", "cannot be written", file.write(zeros.span, at: offset))
    }
    try attempt("state", "cannot be truncated", file.resize(to: Self.length))
    try write(state, sequence: sequence, slot: 0)
    try write(state, sequence: sequence &+ 1, slot: 1)
  }

  private struct Slot {
    /// Of the newest valid copy that belongs to the credential.
    var start = 0
    var sequence: UInt64 = 0
    var hasRecord = false

    /// Of all valid copies, whatever their generation.
    var highestSequence: UInt64 = 0

    var isDamaged = true

    var hasUnknownVersion = false

    init(at offset: Int, of file: Span<UInt8>, _ generation: Generation) {
      let second = offset &+ LoginState.recordLength
      let copy = file.slice(from: offset, to: second)
      let other = file.slice(from: second, to: second &+ LoginState.recordLength)
      read(copy, at: offset, generation)
      if !other.isEqual(to: copy) { read(other, at: second, generation) }
    }

    private mutating func read(_ bytes: Span<UInt8>, at offset: Int, _ generation: Generation) {
      let copy = LoginState.Record(bytes)
      guard copy.isIntact else { return }
      isDamaged = false
      guard copy.hasKnownVersion else {
        hasUnknownVersion = true
        return
      }
      highestSequence = Swift.max(highestSequence, copy.sequence)
      guard copy.generation == generation, !hasRecord || copy.sequence >= sequence else { return }
      (start, sequence, hasRecord) = (offset, copy.sequence, true)
    }
  }
}
