public import FixedMemory
internal import SystemFiles

/// An enrollment and its lock, which excludes other processes while this value exists. Save a decision before you
/// announce it.
public struct LockedEnrollment<Lock: EnrollmentLock & ~Copyable>: ~Copyable {
  /// The credential.
  public let credential: Credential

  /// The state with unsaved changes.
  public var state: HeapValue<LoginState>

  package let lock: Lock

  /// Those of the record that was read.
  private let sequence: UInt64
  private let slot: Int

  /// Contents that were read under the lock. `sequence` and `slot` are those of the record of the state.
  package init(
    credential: consuming Credential, state: consuming HeapValue<LoginState>, lock: consuming Lock, sequence: UInt64,
    slot: Int
  ) {
    self.credential = credential
    self.state = state
    self.lock = lock
    self.sequence = sequence
    self.slot = slot
  }

  /// Writes the state durably. If this fails, do not announce the decision.
  @inline(never)
  @_optimize(speed)
  public borrowing func save() throws(EnrollmentFailure) { try save(state.value) }

  /// Writes a state durably, in place of the older record.
  public borrowing func save(_ state: borrowing LoginState) throws(EnrollmentFailure) {
    try lock.write(state, sequence: sequence &+ 1, slot: 1 &- slot)
  }

  /// After ``save(_:)``, writes a later state durably, in place of the other record.
  public borrowing func saveAgain(_ state: borrowing LoginState) throws(EnrollmentFailure) {
    try lock.write(state, sequence: sequence &+ 2, slot: slot)
  }
}

extension LockedEnrollment where Lock == StateFile {
  /// Writes this state and one of a new generation into another file, and flushes it.
  borrowing func copy(to other: borrowing StateFile, adding new: borrowing LoginState) throws(EnrollmentFailure) {
    try other.rewrite(state.value, sequence: sequence)
    try other.write(new, sequence: sequence &+ 2, slot: 0)
    try attempt("state", "cannot be flushed", other.file.synchronize())
  }
}

extension EnrollmentDirectory: OpenEnrollment {
  /// Locks and reads the files.
  @_optimize(speed)
  public borrowing func locked(
    window: UInt64, failuresAfterLoss: UInt32
  ) throws(EnrollmentFailure) -> LockedEnrollment<StateFile> {
    // Check first: the caller of su(1) chooses the limit, and a truncated write would lose the state.
    guard OpenFile.mayWrite(byteCount: StateFile.length) else {
      throw EnrollmentFailure(.io, "state", "exceeds the file size limit of the process (RLIMIT_FSIZE)")
    }
    var file = try StateFile(locking: openState())
    var status = try checkedStatus(of: file.file, "state")
    if status.links == 0 {
      file = try StateFile(locking: openReplacedState())
      status = try checkedStatus(of: file.file, "state")
    }
    guard status.links > 0 else { throw .removedState }
    try requireLockReach(of: file.file, status)
    let credential = try readCredential()
    guard var state = HeapValue(LoginState(generation: credential.generation)) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    var finding = StateFile.Finding.lost(sequence: 1)
    if status.size == Int64(StateFile.length) {
      finding = try file.read(for: credential.generation, into: &state.value)
    }
    switch finding {
    case .current(let sequence, let slot):
      return LockedEnrollment(credential: credential, state: state, lock: file, sequence: sequence, slot: slot)
    case .lost(let sequence):
      state.value.assumeLoss(of: credential, now: SystemClock.now, window: window, failures: failuresAfterLoss)
      try file.rewrite(state.value, sequence: sequence)
      throw .lostState
    }
  }

  /// Opens the file that replaced a state file.
  private borrowing func openReplacedState() throws(EnrollmentFailure) -> OpenFile {
    do throws(EnrollmentFailure) {
      return try openFile("state", for: .readWrite)
    } catch {
      throw error.error == .noSuchFile ? .removedState : error
    }
  }

  private borrowing func openState() throws(EnrollmentFailure) -> OpenFile {
    do throws(EnrollmentFailure) {
      return try openFile("state", for: .readWrite)
    } catch {
      guard error.error == .noSuchFile else { throw error }
    }
    // Create a missing state only beside a credential.
    _ = try readCredential()
    do throws(EnrollmentFailure) {
      return try createFile("state", for: .readWrite)
    } catch {
      // Another process may have created it.
      guard error.error == .exists else { throw error }
      return try openFile("state", for: .readWrite)
    }
  }
}

/// An enrollment read without the lock, for commands that only show it and must not wait for a login. It may be
/// outdated.
public struct EnrollmentSnapshot: ~Copyable {
  /// The credential.
  public let credential: Credential

  /// The state.
  public let state: LoginState

  /// How often to retry while a record is being written, and the pause in milliseconds.
  private static var attempts: Int { 10 }
  private static var pause: Int { 2 }

  /// Contents that were read.
  package init(credential: consuming Credential, state: LoginState) {
    self.credential = credential
    self.state = state
  }

  /// Reads both files. Does not recreate a lost state; the next ``LockedEnrollment`` does.
  public init(of directory: borrowing EnrollmentDirectory) throws(EnrollmentFailure) {
    var attempts = Counter(to: Self.attempts)
    while attempts.next() != nil {
      let credential = try directory.readCredential()
      let file = try StateFile(unlocked: directory.openFile("state", for: .read))
      let status = try directory.checkedStatus(of: file.file, "state")
      // Without the lock, the state may belong to a newer credential, or be half written.
      var state = LoginState(generation: credential.generation)
      if status.size == Int64(StateFile.length),
        case .current = try file.read(for: credential.generation, into: &state)
      {
        self.credential = credential
        self.state = state
        return
      }
      SystemClock.pause(milliseconds: Self.pause)
    }
    throw .lostState
  }
}

extension EnrollmentFailure {
  fileprivate static var removedState: EnrollmentFailure { EnrollmentFailure(.gone, "state", "was removed") }

  package static var lostState: EnrollmentFailure {
    EnrollmentFailure(.corrupt, "state", "was lost or damaged: all earlier codes and all backup codes count as used")
  }
}
