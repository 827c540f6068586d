internal import FixedMemory
internal import SystemFiles

/// The file `state` of an enrolment, open, and locked where it is to be written.
///
/// It has two slots, 4096 bytes apart, and each slot holds its record twice. An update overwrites the older
/// slot in place: a write that is torn leaves the other slot, no room on the disk is needed, and the file keeps
/// its owner, mode and label. A torn write damages one copy at most, since the two are written one after the
/// other; a slot in which neither copy holds was therefore damaged, and then nothing that the file says about
/// used codes can be trusted.
public struct StateFile: ~Copyable {
  static var name: Literal { "state" }
  static var slotDistance: Int { 4096 }
  static var length: Int { 2 * slotDistance }

  /// What of a slot is used: a record, twice.
  static var slotLength: Int { 2 * LoginState.recordLength }

  /// How long a login waits for others that hold the lock, in milliseconds.
  static var patience: Int { 10_000 }

  let file: OpenFile

  /// What was found in the file.
  enum Finding {
    /// The newest state of this version of the credential, its sequence number, and the slot where it stands.
    case current(sequence: UInt64, slot: Int)

    /// None can be trusted to be the newest; a new one is to get this sequence number.
    case lost(sequence: UInt64)
  }

  /// Takes the lock, waiting for whoever holds it.
  ///
  /// - Throws: A failure of kind `io` when the holder does not let go in time.
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
      guard waited < Self.patience else { throw EnrollmentFailure(.io, "state", "is locked for too long") }
      SystemClock.pause(milliseconds: pause)
      waited &+= pause
      pause = Swift.min(pause &+ 1, 20)
    }
    self.file = file
  }

  /// Takes a file to look at: what is read may be in the middle of a change.
  init(unlocked file: consuming OpenFile) { self.file = file }

  deinit { file.unlock() }

  /// Reads both slots, as far as they belong to the version of the credential that is in force.
  ///
  /// - Parameters:
  ///   - generation: The version of the credential.
  ///   - state: Becomes the newest that can be read; stays as it is where none can.
  /// - Returns: Where it stands, or that it is lost.
  /// - Throws: Why the file cannot be read.
  func read(for generation: Generation, into state: inout LoginState) throws(EnrollmentFailure) -> Finding {
    guard var buffer = SecretBuffer(capacity: Self.slotDistance &+ Self.slotLength) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    try attempt("state", "cannot be read", file.read(into: &buffer))
    // Of a file cut short there is no more than there is: what is no whole record is none.
    let first = Slot(at: 0, of: buffer.bytes, generation)
    let second = Slot(at: Self.slotDistance, of: buffer.bytes, generation)
    guard !first.isOfUnknownVersion, !second.isOfUnknownVersion else {
      throw EnrollmentFailure(.corrupt, "state", "has a version that is not known")
    }
    let isInFirst = first.hasRecord && (!second.hasRecord || first.sequence > second.sequence)
    let newest = isInFirst ? first : second
    let start = newest.start
    if newest.hasRecord {
      LoginState.Record(buffer.bytes.slice(from: start, to: start &+ LoginState.recordLength)).read(into: &state)
    }
    guard newest.hasRecord, !first.isDamaged, !second.isDamaged else {
      return .lost(sequence: Swift.max(first.highestSequence, second.highestSequence) &+ 1)
    }
    return .current(sequence: newest.sequence, slot: isInFirst ? 0 : 1)
  }

  /// Overwrites one slot, and waits until it is on the disk.
  ///
  /// - Parameters:
  ///   - state: The bytes of a ``LoginState``.
  ///   - sequence: Counts the states of an enrolment.
  ///   - slot: 0 or 1.
  /// - Throws: Why it is not on the disk.
  func write(_ state: Span<UInt8>, sequence: UInt64, slot: Int) throws(EnrollmentFailure) {
    guard var copies = SecretBuffer(capacity: Self.slotLength),
      LoginState.write(state, sequence: sequence, to: &copies)
    else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    copies.repeatContent()
    try attempt("state", "cannot be written", file.write(copies.bytes, at: slot == 0 ? 0 : Self.slotDistance))
    try attempt("state", "cannot be flushed", file.flush())
  }

  /// Makes the file anew: the state in both slots, every byte written so that no later update needs room.
  ///
  /// - Parameters:
  ///   - state: The bytes of a ``LoginState``.
  ///   - sequence: Counts the states of an enrolment.
  /// - Throws: Why it is not on the disk.
  func rewrite(_ state: Span<UInt8>, sequence: UInt64) throws(EnrollmentFailure) {
    let zeros = InlineArray<1024, UInt8>(repeating: 0)
    for offset in stride(from: 0, to: Self.length, by: zeros.count) {
      try attempt("state", "cannot be written", file.write(zeros.span, at: offset))
    }
    try attempt("state", "cannot be cut to its length", file.resize(to: Self.length))
    try write(state, sequence: sequence, slot: 0)
    try write(state, sequence: sequence &+ 1, slot: 1)
  }

  /// What one slot holds.
  private struct Slot {
    /// Where the newest valid copy of this version of the credential stands, and its sequence number.
    var start = 0
    var sequence: UInt64 = 0
    var hasRecord = false

    /// The highest sequence number of a valid copy of any version of the credential.
    var highestSequence: UInt64 = 0

    /// Whether no copy is valid.
    var isDamaged = true

    /// Whether a valid copy is of a version of this program that is not known.
    var isOfUnknownVersion = false

    init(at offset: Int, of file: Span<UInt8>, _ generation: Generation) {
      judge(file, at: offset, generation)
      let second = offset &+ LoginState.recordLength
      // Two copies that are the same say the same: the second need not be judged.
      if file.isSame(at: second, as: offset, count: LoginState.recordLength) { return }
      judge(file, at: second, generation)
    }

    private mutating func judge(_ file: Span<UInt8>, at offset: Int, _ generation: Generation) {
      let record = LoginState.Record(file.slice(from: offset, to: offset &+ LoginState.recordLength))
      guard record.isIntact else { return }
      isDamaged = false
      guard record.hasKnownVersion else {
        isOfUnknownVersion = true
        return
      }
      let found = record.sequence
      highestSequence = Swift.max(highestSequence, found)
      guard record.generation == generation, !hasRecord || found >= sequence else { return }
      (start, sequence, hasRecord) = (offset, found, true)
    }
  }
}
