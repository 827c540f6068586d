public import Enrollment
internal import Verification

/// Where the enrollment of one user is, or will be: below directories, or in a database.
public protocol EnrollmentPlace: ~Copyable {
  /// The enrollment itself.
  associatedtype Opened: OpenEnrollment & ~Copyable

  /// Throws a failure of kind `absent` if the user is proved not to be enrolled.
  borrowing func open() throws(EnrollmentFailure) -> Opened

  /// Reads an enrollment without its lock.
  borrowing func snapshot(of opened: borrowing Opened) throws(EnrollmentFailure) -> EnrollmentSnapshot

  /// Creates the enrollment of a user who is not enrolled.
  borrowing func create(_ renewed: borrowing RenewedEnrollment) throws(EnrollmentFailure)

  /// Removes a locked enrollment.
  borrowing func remove(
    _ opened: borrowing Opened, _ locked: borrowing LockedEnrollment<Opened.Lock>
  ) throws(EnrollmentFailure)

  /// Adds the user to the register, if the place has one. Ignores errors: the next accepted login adds the user, too.
  borrowing func noteEnrollment()
}

extension EnrollmentPlace where Self: ~Copyable {
  /// Acquires the lock. If the state was lost, the first attempt recreates it.
  borrowing func lock(
    _ opened: borrowing Opened, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> LockedEnrollment<Opened.Lock> {
    do throws(EnrollmentFailure) {
      return try opened.locked(limits)
    } catch {
      guard error.isOfLostState else { throw error }
      return try opened.locked(limits)
    }
  }
}
