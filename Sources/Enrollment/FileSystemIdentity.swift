internal import CSystem
internal import FixedMemory

/// The file-system identity of the calling thread while it is somebody else's: the uid and gid by which the
/// kernel judges access to files, and the supplementary groups. Ended by the end of this value's life.
///
/// Root never touches a home: a link or a FIFO that a user puts there then leads no further than the user
/// gets alone. Only the calling thread changes (setfsuid(2), and setgroups(2) without the C library).
@safe
public struct FileSystemIdentity: ~Copyable {
  private var saved = unsafe csystem_identity()
  private var isSwitched = false

  /// Begins with the thread's own identity.
  public init() {}

  deinit {
    guard isSwitched else { return }
    var saved = unsafe saved
    unsafe csystem_restore_identity(&saved)
  }

  /// Goes back to the thread's own identity.
  public mutating func restore() {
    guard isSwitched else { return }
    unsafe csystem_restore_identity(&saved)
    isSwitched = false
  }

  /// Takes on the identity of an account, without its supplementary groups. Does nothing where the thread has
  /// that file-system uid already, as a screen locker has.
  public mutating func assume(_ account: borrowing Account) throws(EnrollmentFailure) {
    guard !isSwitched else { return }
    let result = unsafe csystem_assume_identity(&saved, account.userID, account.groupID)
    guard result >= 0 else {
      throw EnrollmentFailure(.io, "identity", "cannot become the user", error: csystem_errno())
    }
    isSwitched = result > 0
  }

  /// Adds the account's supplementary groups, for a path that is refused without them. Looking them up may
  /// ask every name service of the host, so nobody pays for it who does not need it.
  ///
  /// - Returns: False where nothing was switched, or the groups cannot be had.
  public mutating func addSupplementaryGroups(of account: borrowing Account) -> Bool {
    guard isSwitched else { return false }
    let group = account.groupID
    return unsafe account.name.withCString { unsafe csystem_add_supplementary_groups($0, group) } == 0
  }
}
