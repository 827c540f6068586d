internal import FixedMemory

/// An enrollment that was found: its directory, or its row in a database. Verification and changes use this protocol,
/// so that they are written once.
public protocol OpenEnrollment: ~Copyable {
  /// Excludes other processes, on all hosts.
  associatedtype Lock: EnrollmentLock & ~Copyable

  /// Reads the credential without the lock.
  borrowing func readCredential() throws(EnrollmentFailure) -> Credential

  /// Acquires the lock, and reads credential and state. Fails with kind `gone` if the enrollment was removed meanwhile.
  ///
  /// If the state is lost or damaged, writes one in which every code counts as used
  /// (``LoginState/assumeLoss(of:now:window:failures:)``), and fails. The next attempt succeeds.
  borrowing func locked(
    window: UInt64, failuresAfterLoss: UInt32
  ) throws(EnrollmentFailure) -> LockedEnrollment<Lock>

  /// Replaces the credential of a locked enrollment by one of a new generation, with its state. Atomic, even if the
  /// machine crashes.
  borrowing func replace(
    _ enrollment: borrowing LockedEnrollment<Lock>, with credential: Span<UInt8>, state: borrowing LoginState
  ) throws(EnrollmentFailure)
}

/// A lock on an enrollment, which ends with this value.
public protocol EnrollmentLock: ~Copyable {
  /// Writes a state durably. `sequence` increases with each write; `slot` is the place in a file, 0 or 1.
  borrowing func write(_ state: borrowing LoginState, sequence: UInt64, slot: Int) throws(EnrollmentFailure)
}
