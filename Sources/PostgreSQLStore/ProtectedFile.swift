internal import CSystem
internal import FixedMemory
internal import LoginPolicy
internal import SystemFiles

/// A file of root that only root, and perhaps the group of `twofactor-helper`, can read.
enum ProtectedFile {
  /// Reads a file of at most `limit` bytes.
  static func read(_ path: String, upTo limit: Int) throws(PolicyProblem) -> SecretBuffer {
    let file = try open(path)
    let status = try attempt("cannot be examined", file.status())
    guard status.isRegularFile else { throw PolicyProblem(inFile: "is not a regular file") }
    guard TrustRule.file(of: .root).violation(of: status) == nil else {
      throw PolicyProblem(inFile: "must be owned by root, and writable by root alone")
    }
    guard !isReadableByUsers(status) else {
      throw PolicyProblem(inFile: "can be read by users: set owner root, group _twofactor and mode 0640")
    }
    let length = Int(truncatingIfNeeded: status.size)
    guard length <= limit else { throw PolicyProblem(inFile: "is too long") }
    guard var text = SecretBuffer(capacity: length &+ 1) else {
      throw PolicyProblem(inFile: "out of memory", error: .outOfMemory)
    }
    try attempt("cannot be read", file.read(into: &text))
    guard text.count == length else { throw PolicyProblem(inFile: "was changed while it was read") }
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

  private static func attempt<Result>(
    _ problem: Literal, _ operation: @autoclosure () throws(Errno) -> Result
  ) throws(PolicyProblem) -> Result {
    do throws(Errno) {
      return try operation()
    } catch {
      throw PolicyProblem(inFile: problem, error: error)
    }
  }
}
