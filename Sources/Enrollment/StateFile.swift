internal import FixedMemory
internal import SystemFiles

/// The open file `state` of an enrollment, locked if it is to be written.
///
/// The file has two slots, 4096 bytes apart, and each slot has two copies of its record. An update overwrites the older
/// slot in place, so a torn write leaves the other slot intact, a full disk does not matter, and the file keeps its
/// owner, mode and label. The copies are written one after the other, so a torn write damages one of them at most. If
/// both copies of a slot are invalid, the file was damaged otherwise, and its used codes cannot be trusted.
///
/// The type is public only for its `deinit`, which Embedded Swift must see in every module that destroys its owner.
public struct StateFile: ~Copyable {
  static var slotDistance: Int { 4096 }
  static var length: Int { 2 * slotDistance }

  /// How long a login waits for the lock, in milliseconds.
  private static var lockTimeout: Int { 10_000 }

  let file: OpenFile

  /// The result of reading the file.
  enum Finding {
    /// The sequence number of the newest record of the credential, and the index of its slot.
    case current(sequence: UInt64, slot: Int)

    /// No record can be trusted to be the newest. A new one gets this sequence number.
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

  /// Does not lock the file: a record that is read may be half written, and is then invalid.
  init(unlocked file: consuming OpenFile) { self.file = file }

  deinit { file.unlock() }

  /// Copies the newest state of a generation, if there is one, from both slots.
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
  func write(_ state: borrowing LoginState, sequence: UInt64, slot: Int) throws(EnrollmentFailure) {
    guard var copies = SecretBuffer(capacity: 2 &* LoginState.recordLength),
      state.appendRecord(sequence: sequence, to: &copies), copies.repeatContent()
    else { throw EnrollmentFailure(.io, "state", "out of memory") }
    try attempt("state", "cannot be written", file.write(copies.bytes, at: slot == 0 ? 0 : Self.slotDistance))
    try attempt("state", "cannot be flushed", file.flush())
  }

  /// Overwrites the whole file, so that no later update needs disk space, and flushes it.
  func rewrite(_ state: borrowing LoginState, sequence: UInt64) throws(EnrollmentFailure) {
    // Only an empty file can be marked; of any other, it is ignored.
    file.disableCopyOnWrite()
    let zeros = InlineArray<1024, UInt8>(repeating: 0)
    for offset in stride(from: 0, to: Self.length, by: zeros.count) {
      try attempt("state", "cannot be written", file.write(zeros.span, at: offset))
    }
    try attempt("state", "cannot be truncated", file.resize(to: Self.length))
    try write(state, sequence: sequence, slot: 0)
    try write(state, sequence: sequence &+ 1, slot: 1)
  }

  /// The two copies in a slot.
  private struct Slot {
    /// The offset and the sequence number of the newest valid copy that belongs to the credential.
    var start = 0
    var sequence: UInt64 = 0
    var hasRecord = false

    /// The highest sequence number of a valid copy of any credential.
    var highestSequence: UInt64 = 0

    /// Whether both copies are invalid.
    var isDamaged = true

    /// Whether a valid copy is of an unknown version of the format.
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
