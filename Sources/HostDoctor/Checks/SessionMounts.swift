import HostAccess

/// Homes that a PAM module mounts when the session starts, after the code is checked.
struct SessionMounts {
  let tree: HostTree

  private static let volumes = "/etc/security/pam_mount.conf.xml"

  /// The file that names the home as a mount point of eCryptfs (mount.ecryptfs_private(1)).
  func ecryptfs(of account: TreeAccount) -> String? {
    ["/home/.ecryptfs/\(account.name)/.ecryptfs", account.home + "/.ecryptfs"].map { $0 + "/Private.mnt" }
      .first { tree.text(of: $0)?.split(separator: "\n").first.map(String.init) == account.home }
  }

  /// The place of the volume that pam_mount mounts on the home or above it (pam_mount.conf(5)).
  func volume(of account: TreeAccount) -> String? {
    guard let text = tree.text(of: Self.volumes), uses("pam_mount") else { return nil }
    let volume = PAMMountVolume.all(in: text).first { $0.isMounted(for: account) }
    return volume.map { "\(Self.volumes), line \($0.line)" }
  }

  /// Whether a PAM service or an included file calls a module. `name` is without `.so`.
  func uses(_ name: String) -> Bool {
    PAMService.folders.contains { folder in
      tree.names(in: folder).contains { file in
        tree.lines(of: "\(folder)/\(file)").contains { $0.prefix { $0 != "#" }.contains(name + ".so") }
      }
    }
  }
}

/// An element `volume` in `pam_mount.conf.xml`.
struct PAMMountVolume: Equatable {
  let line: Int
  let attributes: [String: String]

  static func all(in text: String) -> [PAMMountVolume] {
    var volumes: [PAMMountVolume] = []
    var rest = text[...]
    var line = 1
    while let start = rest.firstIndex(of: "<") {
      line += rest[..<start].count { $0.isNewline }
      rest = rest[start...]
      if rest.hasPrefix("<!--") {
        let end = rest.firstRange(of: "-->")?.upperBound ?? rest.endIndex
        line += rest[..<end].count { $0.isNewline }
        rest = rest[end...]
        continue
      }
      rest = rest.dropFirst()
      let name = rest.prefix { $0.isLetter }
      rest = rest.dropFirst(name.count)
      guard name == "volume" else { continue }
      let first = line
      volumes.append(PAMMountVolume(line: first, attributes: attributes(&rest, &line)))
    }
    return volumes
  }

  /// Parses the attributes of an element, up to its end.
  private static func attributes(_ rest: inout Substring, _ line: inout Int) -> [String: String] {
    var attributes: [String: String] = [:]
    while true {
      let space = rest.prefix { $0.isWhitespace || $0 == "/" }
      line += space.count { $0.isNewline }
      rest = rest.dropFirst(space.count)
      let name = rest.prefix { $0.isLetter || $0 == "_" }
      rest = rest.dropFirst(name.count).drop { $0 == " " }
      guard !name.isEmpty, rest.popFirst() == "=" else { return attributes }
      rest = rest.drop { $0 == " " }
      guard let quote = rest.popFirst(), quote == "\"" || quote == "'" else { return attributes }
      let value = rest.prefix { $0 != quote }
      line += value.count { $0.isNewline }
      attributes[String(name)] = String(value)
      rest = rest.dropFirst(value.count + 1)
    }
  }

  /// Whether the volume is for the account, and its mount point contains the home. Assumes that
  /// conditions in nested elements are met.
  func isMounted(for account: TreeAccount) -> Bool {
    guard let point = attributes["mountpoint"], isFor(account) else { return false }
    var path = point.replacing("%(USER)", with: account.name).replacing(
      "%(USERUID)", with: "\(account.userID.rawValue)")
    if path == "~" || path.hasPrefix("~/") { path = account.home + path.dropFirst() }
    return account.home == path || account.home.hasPrefix(path.hasSuffix("/") ? path : path + "/")
  }

  private func isFor(_ account: TreeAccount) -> Bool {
    if let user = attributes["user"], user != "*", user != account.name { return false }
    guard let range = attributes["uid"]?.split(separator: "-").map({ UInt32($0) }), let first = range.first,
      let last = range.last, let first, let last
    else { return true }
    return first <= last && (first...last).contains(account.userID.rawValue)
  }
}
