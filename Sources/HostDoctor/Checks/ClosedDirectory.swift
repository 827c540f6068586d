import Glibc
import HostAccess
import SystemFiles

/// A directory in `/var/lib/twofactor` that only root and the helper can search, with an entry for each user ID.
struct ClosedDirectory {
  let tree: HostTree
  /// The name of the findings.
  let check: String
  let path: String
  /// Whether logins apply ``TrustRule/directory(of:allowsSticky:)``, else ``TrustRule/rootDirectory``.
  let isOfEnrollments: Bool
  /// The effect of a directory that logins do not trust.
  let refusal: String
  /// The effect of a directory that the helper cannot search.
  let isolation: String

  static let parent = "/var/lib/twofactor"
  static let group = "_twofactor"
  private static let mode: UInt32 = 0o1730

  private var creation: String {
    """
    groupadd --force --system \(Self.group) && install -d -o root -g root -m 755 \(Self.parent) \
    && install -d -o root -g \(Self.group) -m 1730 \(path)
    """
  }

  /// The remedy for a missing directory. An empty one on an unmounted mount point would declare every user as not
  /// enrolled.
  var restoration: String { HomeCheck(tree: tree).unmountedMount(of: path).map { "mount \($0)" } ?? creation }

  /// `absence` is the finding if the directory or a parent does not exist.
  func finding(absence: @autoclosure () -> Finding) -> Finding {
    for path in ["/", "/var", "/var/lib", Self.parent, path] {
      // Follow symlinks only above the parent, as a login does.
      let isBelow = path.hasPrefix(Self.parent)
      guard let status = isBelow ? tree.ownStatus(of: path) : tree.status(of: path) else { return absence() }
      if let finding = untrusted(path, status) { return finding }
      guard path == self.path else { continue }
      guard let group = groupID else {
        return .failed(check, "the group \(Self.group) does not exist: \(isolation)", remedy: creation)
      }
      guard status.group == group else {
        return .failed(
          check, "\(path) is not of the group \(Self.group): \(isolation)",
          remedy: "chown root:\(Self.group) \(path) && chmod 1730 \(path)")
      }
      guard status.mode & 0o7777 == Self.mode else {
        return .failed(
          check, "\(path) has the mode \(Self.octal(status.mode)) instead of \(Self.octal(Self.mode))",
          remedy: "chmod 1730 \(path)")
      }
    }
    return .ok(check, "\(path) has the right owner and mode")
  }

  private func untrusted(_ path: String, _ status: FileStatus) -> Finding? {
    let isEntry = path == self.path
    guard status.isDirectory else {
      return .failed(
        check, "\(path) is not a directory: \(refusal)",
        remedy: isEntry ? "rm \(path) && \(creation)" : "replace it with a directory")
    }
    guard status.owner == tree.administrator else {
      return .failed(
        check, "\(path) is not owned by root: \(refusal)",
        remedy: isEntry ? "chown root:\(Self.group) \(path) && chmod 1730 \(path)" : "chown root \(path)")
    }
    let forbidden: UInt32 = isOfEnrollments ? status.isSticky ? 0 : 0o022 : 0o002
    guard status.mode & forbidden != 0 else { return nil }
    return .failed(
      check, "\(path) is writable by others: \(refusal)",
      remedy: "chmod \(isEntry ? "1730" : isOfEnrollments ? "go-w" : "o-w") \(path)")
  }

  /// The group of the helper; nil if it does not exist.
  var groupID: GroupID? {
    guard tree.isThisHost else {
      let line = tree.lines(of: "/etc/group").first { $0.hasPrefix(Self.group + ":") }
      let fields = line?.split(separator: ":", omittingEmptySubsequences: false)
      return fields.flatMap { $0.count > 2 ? UInt32($0[2]) : nil }.map(GroupID.init)
    }
    // SAFETY: the string is NUL-terminated, and the entry is copied before the next getgrnam(3).
    return unsafe getgrnam(Self.group).map { unsafe GroupID(rawValue: $0.pointee.gr_gid) }
  }

  private static func octal(_ mode: UInt32) -> String { String(mode & 0o7777, radix: 8) }

  /// The user IDs with an entry, in ascending order. Empty if this process may not read the directory.
  var users: [UserID] {
    let numbers = tree.names(in: path).compactMap { name in UInt32(name).flatMap { "\($0)" == name ? $0 : nil } }
    return numbers.sorted().map(UserID.init)
  }
}
