import CSystem
import Enrollment
import FixedMemory
import SystemFiles
import Verification

/// The enrollment of the user, opened with the process's own identity.
struct UserEnrollment: ~Copyable {
  let path: EnrollmentPath
  let account: Account

  init(path: consuming EnrollmentPath, account: consuming Account) {
    self.path = path
    self.account = account
  }

  /// Throws a failure of kind `absent` if the user is proved not to be enrolled.
  borrowing func open() throws(EnrollmentFailure) -> EnrollmentDirectory {
    var identity = FileSystemIdentity()
    do throws(EnrollmentFailure) {
      return try EnrollmentDirectory(path, of: account, identity: &identity)
    } catch {
      if error.reason == .absent { throw doubt() ?? error }
      if error.error == .accessDenied, path.isInHostStore, getegid() == getgid() {
        throw EnrollmentFailure(
          .io, "the host store", "cannot be searched: twofactor-helper runs without its group", error: error.error)
      }
      throw error
    }
  }

  /// Why a missing enrollment does not prove that the user is not enrolled; nil if it does.
  private borrowing func doubt() -> EnrollmentFailure? {
    switch EnrollmentRegister.contains(account.userID) {
    case .registered: EnrollmentFailure(.missing, "directory", "does not exist, but the user is registered as enrolled")
    case .noRegister where path.isInHostStore:
      EnrollmentFailure(.missing, "directory", "does not exist, and /var/lib/twofactor has no register")
    case .notPermitted where path.isInHostStore:
      EnrollmentFailure(.io, "register", "cannot be searched, so it may name the user")
    case .unknown(let failure): failure
    case .notRegistered, .noRegister, .notPermitted: nil
    }
  }

  /// Acquires the lock. If the state was lost, the first attempt recreates it.
  static func lock(
    _ directory: borrowing EnrollmentDirectory, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> LockedEnrollment {
    do throws(EnrollmentFailure) {
      return try LockedEnrollment.locking(directory, limits: limits)
    } catch {
      guard error.isOfLostState else { throw error }
      return try LockedEnrollment.locking(directory, limits: limits)
    }
  }
}
