internal import CSystem
internal import FixedMemory

/// The file `state` of an enrolment, open and locked.
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

  /// How long a login waits for others that hold the lock, in milliseconds.
  static var patience: Int { 10_000 }

  let file: OpenFile

  /// What was found in the file.
  enum Content {
    /// The newest state of this version of the credential, and the slot where it stands.
    case current(LoginState.Record, slot: Int)

    /// None can be trusted to be the newest; a new one is to get this sequence number. What is left is the newest
    /// that can be read.
    case lost(sequence: UInt64, remains: LoginState?)
  }

  /// Takes the lock, waiting for whoever holds it.
  ///
  /// - Throws: A failure of kind `io` when the holder does not let go in time.
  init(locking file: consuming OpenFile) throws(EnrollmentFailure) {
    var waited = 0
    var pause = 1
    while csystem_try_lock(file.descriptor) != 0 {
      let error = csystem_errno()
      guard error == EAGAIN || error == EINTR else {
        throw EnrollmentFailure(.io, "state", "cannot be locked", error: error)
      }
      guard waited < Self.patience else { throw EnrollmentFailure(.io, "state", "is locked for too long") }
      var time = timespec(tv_sec: 0, tv_nsec: pause &* 1_000_000)
      _ = unsafe nanosleep(&time, nil)
      waited &+= pause
      pause = Swift.min(pause &+ 1, 20)
    }
    self.file = file
  }

  deinit { _ = csystem_unlock(file.descriptor) }

  /// Reads both slots, as far as they belong to the version of the credential that is in force.
  func read(for generation: Generation) throws(EnrollmentFailure) -> Content {
    let first = try readSlot(0, generation)
    let second = try readSlot(1, generation)
    let next = Swift.max(first.highestSequence, second.highestSequence) &+ 1
    guard !first.isDamaged, !second.isDamaged else {
      return .lost(sequence: next, remains: first.record?.state ?? second.record?.state)
    }
    switch (first.record, second.record) {
    case (let one?, let other?):
      return one.sequence > other.sequence ? .current(one, slot: 0) : .current(other, slot: 1)
    case (let one?, nil): return .current(one, slot: 0)
    case (nil, let other?): return .current(other, slot: 1)
    case (nil, nil): return .lost(sequence: next, remains: nil)
    }
  }

  /// Overwrites one slot, and waits until it is on the disk.
  func write(_ state: LoginState, sequence: UInt64, slot: Int) throws(EnrollmentFailure) {
    let record = state.record(sequence: sequence)
    var copies = InlineArray<2048, UInt8>(repeating: 0)
    unsafe withUnsafeMutableBytes(of: &copies) { copies in
      unsafe record.span.withUnsafeBytes { record in
        guard let base = copies.baseAddress, let start = record.baseAddress else { return }
        // SAFETY: there is room for two records.
        unsafe base.copyMemory(from: start, byteCount: record.count)
        unsafe (base + record.count).copyMemory(from: start, byteCount: record.count)
      }
    }
    guard file.write(copies.span, at: slot == 0 ? 0 : Self.slotDistance) else {
      throw EnrollmentFailure(.io, "state", "cannot be written", error: csystem_errno())
    }
    guard file.flush() else { throw EnrollmentFailure(.io, "state", "cannot be flushed", error: csystem_errno()) }
  }

  /// Makes the file anew: the state in both slots, every byte written so that no later update needs room.
  func rewrite(_ state: LoginState, sequence: UInt64) throws(EnrollmentFailure) {
    let zeros = InlineArray<1024, UInt8>(repeating: 0)
    for offset in stride(from: 0, to: Self.length, by: zeros.count) {
      guard file.write(zeros.span, at: offset) else {
        throw EnrollmentFailure(.io, "state", "cannot be written", error: csystem_errno())
      }
    }
    guard ftruncate(file.descriptor, Self.length) == 0 else {
      throw EnrollmentFailure(.io, "state", "cannot be cut to its length", error: csystem_errno())
    }
    try write(state, sequence: sequence, slot: 0)
    try write(state, sequence: sequence &+ 1, slot: 1)
  }

  /// What one slot holds.
  private struct Slot {
    /// The newest valid copy of this version of the credential.
    var record: LoginState.Record?

    /// The highest sequence number of a valid copy of any version of the credential.
    var highestSequence: UInt64 = 0

    /// Whether no copy is valid.
    var isDamaged = true
  }

  @_optimize(speed)
  private func readSlot(_ slot: Int, _ generation: Generation) throws(EnrollmentFailure) -> Slot {
    var buffer = InlineArray<2048, UInt8>(repeating: 0)
    let offset = slot == 0 ? 0 : Self.slotDistance
    let count = unsafe withUnsafeMutableBytes(of: &buffer) { unsafe file.read(into: $0, at: offset) }
    guard count >= 0 else { throw EnrollmentFailure(.io, "state", "cannot be read", error: csystem_errno()) }
    var result = Slot()
    var copies = Counter(to: 2)
    while let copy = copies.next() {
      let start = copy &* LoginState.recordLength
      // What lies beyond the end of a file cut short is zero here, and zeros are no record.
      let bytes = buffer.span.slice(from: start, to: start &+ LoginState.recordLength)
      // Two copies that are the same say the same: the second need not be judged.
      if copy == 1, bytes.isEqual(to: buffer.span.slice(from: 0, to: start)) { continue }
      switch LoginState.read(record: bytes) {
      case .valid(let record):
        result.isDamaged = false
        result.highestSequence = Swift.max(result.highestSequence, record.sequence)
        guard record.state.generation == generation else { continue }
        if let other = result.record, other.sequence > record.sequence { continue }
        result.record = record
      case .damaged: continue
      case .unknownVersion: throw EnrollmentFailure(.corrupt, "state", "has a version that is not known")
      }
    }
    return result
  }
}
