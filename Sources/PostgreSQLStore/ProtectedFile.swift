internal import CSystem
internal import FixedMemory
internal import LoginPolicy
internal import SystemFiles

/// A file of root that only root, and perhaps the group of `twofactor-helper`, can read.
enum ProtectedFile {
  /// Reads the file, which only root may be able to write.
  static func read(_ path: String) throws(PolicyProblem) -> SecretBuffer {
    let file = try open(path)
    let status = try PolicyFile.attempt("cannot be examined", file.status())
    let text = try PolicyFile.text(of: file, status)
    guard !isReadableByUsers(status) else {
      throw PolicyProblem(inFile: "can be read by users: set owner root, group _twofactor and mode 0640")
    }
    return text
  }

  private static func open(_ path: String) throws(PolicyProblem) -> OpenFile {
    do throws(Errno) {
      var name = ByteText(capacity: path.utf8.count)
      name.append(path.utf8.span)
      // SAFETY: the text is NUL-terminated.
      return try unsafe name.withCString { name throws(Errno) in try unsafe OpenFile.following(name, for: .read) }
    } catch {
      throw PolicyProblem(inFile: "cannot be opened", error: error)
    }
  }

  private static func isReadableByUsers(_ status: FileStatus) -> Bool {
    if status.mode & 0o007 != 0 { return true }
    guard status.mode & 0o070 != 0, status.group.rawValue != 0 else { return false }
    // A process that `twofactor-helper` started has the group.
    if getuid() != 0 { return status.group.rawValue != getegid() || getegid() == getgid() }
    // SAFETY: the literal is NUL-terminated, and no other thread looks up a group.
    let group = unsafe getgrnam(Literal("_twofactor").cString)
    return unsafe group == nil || group?.pointee.gr_gid != status.group.rawValue
  }
}
