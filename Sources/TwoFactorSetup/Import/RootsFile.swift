import Glibc

/// A file that nobody but root can have put where it is: every directory on the way is root's, with nobody else
/// allowed to write, and no link leads anywhere.
enum RootsFile {
  /// Opens such a file to be read.
  ///
  /// - Parameters:
  ///   - path: The file, from the root directory or from the one that the command runs in.
  ///   - owner: Who may own the file itself beside root, where root put it in a directory of root's alone.
  /// - Returns: The descriptor, which the caller closes; nil where it is no such file.
  static func open(_ path: String, orOwnedBy owner: uid_t = 0) -> Int32? {
    guard let whole = absolute(path) else { return nil }
    let parts = whole.split(separator: "/").filter { $0 != "." }
    guard let name = parts.last, !parts.contains("..") else { return nil }
    var here = unsafe Glibc.open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    var isShared = isSharedByAll(here)
    for part in parts.dropLast() where isShared != nil {
      let next = unsafe openat(here, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      close(here)
      here = next
      isShared = isSharedByAll(here)
    }
    defer { if here >= 0 { close(here) } }
    guard let isShared else { return nil }
    let file = unsafe openat(here, String(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    guard isFile(file, of: isShared ? [0] : [0, owner]) else {
      close(file)
      return nil
    }
    return file
  }

  private static func absolute(_ path: String) -> String? {
    if path.hasPrefix("/") { return path }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard unsafe getcwd(&buffer, buffer.count) != nil else { return nil }
    return String(terminated: buffer) + "/" + path
  }

  /// Whether everybody may put something of their own into a directory of root's, as into /tmp, where nobody can move
  /// or remove what is not theirs. Nil for a directory that is not root's, or in which others can do more.
  private static func isSharedByAll(_ directory: Int32) -> Bool? {
    var status = stat()
    guard directory >= 0, unsafe fstat(directory, &status) == 0, status.st_uid == 0 else { return nil }
    guard status.st_mode & 0o022 != 0 else { return false }
    return status.st_mode & S_ISVTX != 0 ? true : nil
  }

  private static func isFile(_ descriptor: Int32, of owners: [uid_t]) -> Bool {
    var status = stat()
    // A second name may be one that somebody else gave it.
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1
      && owners.contains(status.st_uid) && status.st_mode & 0o022 == 0
  }
}
