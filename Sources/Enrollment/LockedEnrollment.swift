public import FixedMemory
internal import SystemFiles

/// An enrolment with its lock held: nobody else reads, decides or writes until this value's life ends. What is
/// decided is saved before it is told to anybody.
public struct LockedEnrollment: ~Copyable {
  /// What the user enrolled with.
  public let credential: Credential

  /// The state: as it was read, and what is made of it since.
  public var state: HeapValue<LoginState>

  package let file: StateFile
  let sequence: UInt64
  let slot: Int

  /// Takes the lock and reads both files.
  ///
  /// Where the state was lost or damaged, one is written in which every code that could have been used was used,
  /// and the attempt fails. The next one finds it.
  ///
  /// - Parameters:
  ///   - directory: The directory of the enrolment.
  ///   - window: How many steps before and after the current one are accepted.
  ///   - failuresAfterLoss: How many failures a state that was lost counts at least.
  /// - Returns: The enrolment.
  /// - Throws: Why the files cannot be read, trusted or written; `gone` where the enrolment ended meanwhile.
  public static func locking(
    _ directory: borrowing EnrollmentDirectory, window: UInt64, failuresAfterLoss: UInt32
  ) throws(EnrollmentFailure) -> LockedEnrollment {
    // Asked before anything is read: whoever calls su(1) chooses how much the process may write.
    guard OpenFile.mayWrite(byteCount: StateFile.length) else {
      throw EnrollmentFailure(.io, "state", "may not be written by a process with this limit (RLIMIT_FSIZE)")
    }
    let file = try StateFile(locking: openState(in: directory))
    let status = try directory.checkedStatus(of: file.file, "state")
    guard status.links > 0 else { throw EnrollmentFailure(.gone, "state", "was removed") }
    let credential = try directory.readCredential()
    guard var state = HeapValue(zeroed: LoginState.self) else {
      throw EnrollmentFailure(.io, "state", "out of memory")
    }
    state.value.generation = credential.generation
    var finding = StateFile.Finding.lost(sequence: 1)
    if status.size == Int64(StateFile.length) {
      finding = try file.read(for: credential.generation, into: &state.value)
    }
    switch finding {
    case .current(let sequence, let slot):
      return LockedEnrollment(credential: credential, state: state, file: file, sequence: sequence, slot: slot)
    case .lost(let sequence):
      state.value.assumeLoss(of: credential, now: SystemClock.now, window: window, failures: failuresAfterLoss)
      try file.rewrite(state.bytes, sequence: sequence)
      throw EnrollmentFailure(
        .corrupt, "state", "was lost or damaged; every code so far and every backup code counts as used")
    }
  }

  private static func openState(in directory: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> OpenFile {
    do throws(EnrollmentFailure) {
      return try directory.openFile("state", for: .readWrite)
    } catch {
      guard error.error == .noSuchFile else { throw error }
    }
    // A state that is gone is made anew only for a credential that is there.
    _ = try directory.readCredential()
    do throws(EnrollmentFailure) {
      return try directory.createFile("state", for: .readWrite)
    } catch {
      // Somebody else was faster.
      guard error.error == .exists else { throw error }
      return try directory.openFile("state", for: .readWrite)
    }
  }

  /// Writes the state in place of the older one, and returns when it is on the disk.
  ///
  /// - Throws: Why it could not be written. Then what was decided must not be told.
  public borrowing func save() throws(EnrollmentFailure) {
    try file.write(state.bytes, sequence: sequence &+ 1, slot: 1 &- slot)
  }

  /// Writes a state in place of the older one, and returns when it is on the disk.
  ///
  /// - Parameter state: What is true from now on.
  /// - Throws: Why it could not be written.
  public borrowing func save(_ state: borrowing LoginState) throws(EnrollmentFailure) {
    try unsafe withUnsafeBytes(of: state) { state throws(EnrollmentFailure) in
      try file.write(unsafe Span(_unsafeBytes: state), sequence: sequence &+ 1, slot: 1 &- slot)
    }
  }
}
