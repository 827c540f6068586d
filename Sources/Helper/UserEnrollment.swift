import CSystem
import Enrollment
import EnrollmentRequests
import FixedMemory
import SystemFiles
import Verification

/// The enrollment of the user, opened with the process's own identity.
struct UserEnrollment: EnrollmentPlace, ~Copyable {
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
      if error.reason == .absent { throw error.isProven ? error : doubt() ?? error }
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

  borrowing func snapshot(of opened: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> EnrollmentSnapshot {
    try EnrollmentSnapshot(of: opened)
  }

  borrowing func create(_ renewed: borrowing RenewedEnrollment) throws(EnrollmentFailure) {
    var identity = FileSystemIdentity()
    try EnrollmentDirectory.create(
      path, of: account, credential: renewed.credential.bytes, state: renewed.state, tag: UInt64(csystem_random()),
      identity: &identity)
  }

  borrowing func remove(
    _ opened: borrowing EnrollmentDirectory, _ locked: borrowing LockedEnrollment<StateFile>
  ) throws(EnrollmentFailure) {
    let user = account.userID
    // Remove the register entry first: if the process is then killed, the user stays enrolled, and the next accepted
    // login adds the entry again.
    try EnrollmentRegister.remove(user)
    var identity = FileSystemIdentity()
    do throws(EnrollmentFailure) {
      try opened.remove(path, of: account, tag: UInt64(csystem_random()), identity: &identity)
    } catch {
      noteEnrollment()
      throw error
    }
    extendLifetime(locked)
    // A login that was accepted in between has added the entry again.
    do throws(EnrollmentFailure) { try EnrollmentRegister.remove(user) } catch {}
  }

  borrowing func noteEnrollment() {
    do throws(EnrollmentFailure) { try EnrollmentRegister.add(account.userID) } catch {}
  }
}
