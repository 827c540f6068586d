internal import CSystem
internal import FixedMemory

/// The file-system identity of the calling thread: fsuid, fsgid and supplementary groups (credentials(7)). The
/// thread's own identity is restored at the end of the value's lifetime.
///
/// Root assumes the user's identity before it opens anything in a home directory, so a symlink or FIFO there gives the
/// user no access that the user did not have. Only the calling thread changes (setfsuid(2)).
@safe
public struct FileSystemIdentity: ~Copyable {
  // SAFETY: the groups in it are heap memory that belongs to this value while `isSwitched` is set.
  private var saved = unsafe csystem_identity()
  private var isSwitched = false

  /// Starts with the thread's own identity.
  public init() {}

  deinit {
    guard isSwitched else { return }
    // SAFETY: `saved` was filled by csystem_assume_identity(), and is not used again.
    var saved = unsafe saved
    unsafe csystem_restore_identity(&saved)
  }

  /// Restores the thread's own identity.
  public mutating func restore() {
    guard isSwitched else { return }
    // SAFETY: `saved` was filled by csystem_assume_identity(), and is not used again.
    unsafe csystem_restore_identity(&saved)
    isSwitched = false
  }

  /// Assumes the identity of an account, without its supplementary groups. Does nothing if an identity has been assumed,
  /// or if the thread has the account's fsuid already, as a screen locker has.
  public mutating func assume(_ account: borrowing Account) throws(Errno) {
    guard !isSwitched else { return }
    // SAFETY: `saved` lives as long as this value.
    let result = unsafe csystem_assume_identity(&saved, account.userID.rawValue, account.groupID.rawValue)
    guard result >= 0 else { throw .current }
    isSwitched = result > 0
  }

  /// Adds the account's supplementary groups. Call it only after access was denied: the lookup can be slow. Returns false
  /// if no identity has been assumed, or the lookup fails.
  public mutating func addSupplementaryGroups(of account: borrowing Account) -> Bool {
    guard isSwitched else { return false }
    let group = account.groupID.rawValue
    // SAFETY: the name is NUL-terminated and lent for the call.
    return unsafe account.name.withCString { unsafe csystem_add_supplementary_groups($0, group) } == 0
  }
}
