import HostAccess

/// Warns about homes that may be unmounted or encrypted when a code is checked.
package struct HomeCheck {
  let tree: HostTree
  /// The file-system type by mount point. Empty for another tree, whose mounts are unknown.
  private let mounts: [String: String]
  private let automounts: [String]
  /// Mount options by mount point (fstab(5)).
  private let table: [String: String]

  package init(tree: HostTree) {
    self.init(tree: tree, mountInfo: tree.isThisHost ? tree.lines(of: "/proc/self/mountinfo") : [])
  }

  /// `mountInfo` has the lines of proc_pid_mountinfo(5).
  init(tree: HostTree, mountInfo: [String]) {
    self.tree = tree
    var mounts: [String: String] = [:]
    var automounts: [String] = []
    for line in mountInfo {
      let fields = line.split(separator: " ").map(String.init)
      guard let dash = fields.firstIndex(of: "-"), dash > 4, dash + 1 < fields.count else { continue }
      let (path, type) = (Self.unescaped(fields[4]), fields[dash + 1])
      mounts[path] = type
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

  /// Nil if nothing suggests that the home may be absent at a login.
  package func finding(of account: TreeAccount) -> Finding? {
    guard let reason = reason(account.home) else { return nil }
    return .warning(
      "home", "\(account.name): \(account.home) is \(reason), \(account.name) is refused",
      remedy: TreeEnrollment.outsideHomes)
  }

  private func reason(_ home: String) -> String? {
    if tree.isEncrypted(home) { return "encrypted with fscrypt: while its key is absent" }
    guard let type = mounts[home], !isMountedAtBoot(home), !isAutomatic(home) else { return nil }
    return "a mount of its own (\(type)): while it is not mounted"
  }

  private func isMountedAtBoot(_ path: String) -> Bool {
    table[path].map { !$0.split(separator: ",").contains("noauto") } ?? false
  }

  /// Whether the path is mounted at the first access.
  private func isAutomatic(_ path: String) -> Bool { automounts.contains { Self.contains($0, path) } }

  /// The unmounted mount point of fstab(5) that contains a path of this host.
  func unmountedMount(of path: String) -> String? {
    guard !mounts.isEmpty else { return nil }
    return table.keys.filter { $0.hasPrefix("/") && mounts[$0] == nil && Self.contains($0, path) }
      .max { $0.count < $1.count }
  }

  private static func contains(_ directory: String, _ path: String) -> Bool {
    path == directory || path.hasPrefix(directory + "/")
  }

  /// Decodes escapes such as `\040`.
  private static func unescaped(_ text: String) -> String {
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
