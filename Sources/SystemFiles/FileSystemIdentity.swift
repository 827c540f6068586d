internal import CSystem
internal import FixedMemory

/// The file-system identity of the calling thread: fsuid, fsgid and supplementary groups (credentials(7)). `deinit`
/// restores the thread's own identity.
///
/// Root assumes the user's identity before it opens anything in a home directory: a symlink or FIFO there then gives no
/// further access. Only the calling thread changes (setfsuid(2)).
@safe
public struct FileSystemIdentity: ~Copyable {
  // SAFETY: owns its heap memory while `isSwitched` is set.
  private var saved = unsafe csystem_identity()
  private var isSwitched = false

  /// Starts with the thread's own identity.
  public init() {}

  deinit {
    guard isSwitched else { return }
    // SAFETY: csystem_assume_identity() filled `saved`, and this is its last use.
    var saved = unsafe saved
    unsafe csystem_restore_identity(&saved)
  }

  /// Restores the thread's own identity.
  public mutating func restore() {
    guard isSwitched else { return }
    // SAFETY: csystem_assume_identity() filled `saved`, and this is its last use.
    unsafe csystem_restore_identity(&saved)
    isSwitched = false
  }

  /// Assumes the identity of an account, without its supplementary groups. Does nothing if an identity was assumed
  /// before, or the thread has this fsuid, as in a screen locker.
  public mutating func assume(_ account: borrowing Account) throws(Errno) {
    try assume(account.userID, account.groupID)
  }

  /// Assumes the identity of a user with a single group.
  public mutating func assume(_ user: UserID, _ group: GroupID) throws(Errno) {
    guard !isSwitched else { return }
    // SAFETY: `saved` lives as long as `self`.
    let result = unsafe csystem_assume_identity(&saved, user.rawValue, group.rawValue)
    guard result >= 0 else { throw .current }
    isSwitched = result > 0
  }

  /// Adds the account's supplementary groups. Returns false if no identity was assumed, or the lookup fails. Slow: call
  /// it only after access was denied.
  public mutating func addSupplementaryGroups(of account: borrowing Account) -> Bool {
    guard isSwitched else { return false }
    let group = account.groupID.rawValue
    // SAFETY: the name is NUL-terminated.
    return unsafe account.name.withCString { unsafe csystem_add_supplementary_groups(&saved, $0, group) } == 0
  }
}
