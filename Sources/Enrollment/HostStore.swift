internal import FixedMemory
public import SystemFiles

/// The host store: a directory per user ID, below one that users cannot search.
///
/// If it contains a user's enrollment, no enrollment in another place is in force. So one rename in the host store
/// switches between it and another place, even on another file system (`twofactor move`).
public enum HostStore {
  /// Throws if the host store contains an enrollment of the user although the policy names another place
  /// (`isExpected` is false), or contains none although the policy names the host store.
  ///
  /// Call it with root's file-system identity: for a process that cannot search the host store, an enrollment there
  /// counts as missing.
  ///
  /// Costs one system call. A login calls it after it used up the code, because it may have waited for the lock while
  /// the enrollment moved.
  public static func requirePresence(of user: UserID, _ isExpected: Bool) throws(EnrollmentFailure) {
    var error: Errno?
    // On the stack, because a lack of memory must not change the outcome. SAFETY: `path` does not outlive the closure.
    unsafe ByteText.onStack(capacity: 63) { path in
      path.append("/var/lib/twofactor/users/")
      path.append(decimal: UInt64(user.rawValue))
      do throws(Errno) {
        // SAFETY: the path is NUL-terminated.
        _ = try unsafe path.withCString { path throws(Errno) in
          try unsafe FileStatus(of: path, followsSymlink: false)
        }
      } catch let failure {
        error = failure
      }
    }
    switch error {
    case nil where isExpected, .noSuchFile? where !isExpected, .notDirectory? where !isExpected,
      .accessDenied? where !isExpected:
      return
    case nil:
      throw EnrollmentFailure(.missing, "directory", "is not in force: the host store has an enrollment of the user")
    case .noSuchFile?, .notDirectory?:
      throw EnrollmentFailure(.missing, "directory", "is no longer in the host store")
    case let error: throw EnrollmentFailure(.io, "the host store", "cannot be searched", error: error)
    }
  }
}
