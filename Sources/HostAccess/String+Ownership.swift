import FixedMemory
import SystemFiles

extension String {
  /// Whether each part of this absolute path is a directory that only root can exchange.
  /// Does not follow symlinks.
  package var isOfRootAlone: Bool {
    guard hasPrefix("/") else { return false }
    do throws(Errno) {
      // SAFETY: a literal is NUL-terminated.
      var here = try unsafe OpenFile.following(Literal("/").cString, for: .traversal)
      for part in split(separator: "/") {
        var name = ByteText(capacity: part.utf8.count)
        name.append(Array(part.utf8).span)
        here = try here.open(name, for: .traversal)
        let rule = TrustRule.directory(of: .root, allowsSticky: true)
        guard try rule.violation(of: here.status()) == nil else { return false }
      }
      return true
    } catch {
      return false
    }
  }

  /// Whether the path exists and can be reached. Does not follow a symlink in its last part.
  fileprivate var isReachable: Bool {
    // SAFETY: the string is NUL-terminated for the call.
    (try? unsafe FileStatus(of: self, followsSymlink: false)) != nil
  }
}

extension FileSystemIdentity {
  /// Assumes the identity of an account that owns a part of a directory's path, and could exchange it between two
  /// accesses. Keeps the process's identity if the account owns no part, or owns only the last one and cannot reach it.
  package mutating func assume(_ account: UserAccount, at directory: String) throws(Errno) {
    let isInHome = directory.hasPrefix(account.homeText + "/")
    guard account.userID != 0, isInHome || !directory.isOfRootAlone else { return }
    let parent = directory.lastIndex(of: "/").map { String(directory[..<$0]) + "/" } ?? ""
    let isClosedByRoot = !isInHome && parent.isOfRootAlone
    try assume(account.entry)
    if directory.isReachable { return }
    _ = addSupplementaryGroups(of: account.entry)
    if isClosedByRoot, !directory.isReachable { restore() }
  }
}
