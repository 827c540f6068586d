import Glibc

/// A file that nobody but root can have put where it is: it is root's, and so is every directory on the way, with
/// nobody else allowed to write and without a link.
enum RootsFile {
  /// Opens such a file to be read.
  ///
  /// - Parameter path: The file, from the root directory or from the one that the command runs in.
  /// - Returns: The descriptor, which the caller closes; nil where it is no such file.
  static func open(_ path: String) -> Int32? {
    guard let whole = absolute(path) else { return nil }
    let parts = whole.split(separator: "/").filter { $0 != "." }
    guard let name = parts.last, !parts.contains("..") else { return nil }
    var here = unsafe Glibc.open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    for part in parts.dropLast() {
      guard here >= 0, isRootsAlone(here, S_IFDIR) else { break }
      let next = unsafe openat(here, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      close(here)
      here = next
    }
    guard here >= 0 else { return nil }
    defer { close(here) }
    guard isRootsAlone(here, S_IFDIR) else { return nil }
    let file = unsafe openat(here, String(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    guard isRootsAlone(file, S_IFREG) else {
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

  private static func isRootsAlone(_ descriptor: Int32, _ type: mode_t) -> Bool {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == type, status.st_uid == 0 else {
      return false
    }
    // A second name may be one that somebody else gave it.
    return status.st_mode & 0o022 == 0 && (type == S_IFDIR || status.st_nlink == 1)
  }
}
