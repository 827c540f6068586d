import HostAccess

/// Warns about homes that may be unmounted or encrypted when a code is checked.
package struct HomeCheck {
  let tree: HostTree
  /// By mount point. Empty for another tree, whose mounts are unknown.
  private let mounts: [String: Mount]
  private let automounts: [String]
  /// Mount options by mount point (fstab(5)).
  private let table: [String: String]

  /// A line of proc_pid_mountinfo(5).
  private struct Mount {
    let type: String
    /// For the whole file system.
    let options: String

    /// Root cannot access the file system of a user's FUSE program, not even with the user's file-system identity.
    var isOfUserAlone: Bool {
      let options = options.split(separator: ",")
      let isOfUser = options.contains { $0.hasPrefix("user_id=") && $0 != "user_id=0" }
      return type.hasPrefix("fuse") && isOfUser && !options.contains("allow_other")
    }
  }

  package init(tree: HostTree) {
    self.init(tree: tree, mountInfo: tree.isThisHost ? tree.lines(of: "/proc/self/mountinfo") : [])
  }

  /// `mountInfo` has the lines of proc_pid_mountinfo(5).
  init(tree: HostTree, mountInfo: [String]) {
    self.tree = tree
    var mounts: [String: Mount] = [:]
    var automounts: [String] = []
    for line in mountInfo {
      let fields = line.split(separator: " ").map(String.init)
      guard let dash = fields.firstIndex(of: "-"), dash > 4, dash + 1 < fields.count else { continue }
      let (path, type) = (Self.unescaped(fields[4]), fields[dash + 1])
      mounts[path] = Mount(type: type, options: fields.count > dash + 3 ? fields[dash + 3] : "")
      if type == "autofs" { automounts.append(path) }
    }
    self.mounts = mounts
    self.automounts = automounts
    var table: [String: String] = [:]
    for line in tree.lines(of: "/etc/fstab") {
      let fields = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard fields.count >= 4, !fields[0].hasPrefix("#") else { continue }
      table[Self.unescaped(fields[1])] = fields[3]
    }
    self.table = table
  }

  /// Nil if nothing suggests that the home may be absent at a login. Of a user who is not enrolled, only the homes that
  /// make logins fail.
  package func finding(of account: TreeAccount, isEnrolled: Bool = true) -> Finding? {
    guard isEnrolled || tree.isEncrypted(account.home),
      let reason = reason(account)
    else { return nil }
    return .warning(
      "home", "\(account.name): \(account.home) is \(reason), \(account.name) is refused",
      remedy: TreeEnrollment.outsideHomes)
  }

  /// Whether root cannot access the home even while it is mounted.
  package func isOfUserAlone(_ home: String) -> Bool { mounts[home]?.isOfUserAlone == true }

  private func reason(_ account: TreeAccount) -> String? {
    let home = account.home
    if tree.isEncrypted(home) { return "encrypted with fscrypt: while its key is absent" }
    let sessions = SessionMounts(tree: tree)
    if let place = sessions.ecryptfs(of: account) {
      return "encrypted with eCryptfs (\(place)): while it is not mounted"
    }
    if let place = sessions.volume(of: account) {
      return "mounted by pam_mount (\(place)) only after the code is checked: while it is not mounted"
    }
    guard let mount = mounts[home] else { return nil }
    if mount.isOfUserAlone {
      // Root's module lets the helper read it as the user.
      return
        "on a FUSE file system (\(mount.type)) without allow_other: while it is not mounted, or directory is not "
        + "~/.twofactor"
    }
    if mount.type == "zfs" {
      // zfs-mount.service mounts data sets at boot, unless their key comes with the password.
      return sessions.uses("pam_zfs_key") ? "mounted by pam_zfs_key: while it is not mounted" : nil
    }
    guard !isMountedAtBoot(home), !isAutomatic(home) else { return nil }
    return "a mount of its own (\(mount.type)): while it is not mounted"
  }

  private func isMountedAtBoot(_ path: String) -> Bool {
    if let options = table[path]?.split(separator: ",") {
      return !options.contains("noauto") || options.contains("x-systemd.automount")
    }
    return MountUnits(tree: tree).isEnabled(path)
  }

  /// Whether the path is mounted at the first access.
  private func isAutomatic(_ path: String) -> Bool { automounts.contains { Self.contains($0, path) } }

  /// The unmounted mount point of fstab(5) that contains a path of this host.
  func unmountedMount(of path: String) -> String? {
    guard !mounts.isEmpty else { return nil }
    return table.keys.filter { $0.hasPrefix("/") && mounts[$0] == nil && Self.contains($0, path) }
      .max { $0.count < $1.count }
  }

  /// The mount point of the file system with a path of this host.
  func mountPoint(of path: String) -> String {
    mounts.keys.filter { Self.contains($0, path) }.max { $0.count < $1.count } ?? "/"
  }

  private static func contains(_ directory: String, _ path: String) -> Bool {
    path == directory || path.hasPrefix(directory + "/")
  }

  /// Decodes escapes such as `\040`.
  static func unescaped(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
