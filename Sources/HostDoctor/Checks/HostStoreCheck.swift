import Enrollment
import Glibc
import HostAccess
import SystemFiles

/// Checks the directory of the host store, and the helper with which users change their enrollments in it.
package struct HostStoreCheck {
  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  private static let name = "host_store"
  static let template = String(decoding: EnrollmentPath.hostTemplate.bytes)
  private static let helper = "/libexec/twofactor/twofactor-helper"
  private static let lockout = "screen lockers and other programs that do not run as root refuse everyone"
  private static let effect = "users cannot change their enrollments, and \(lockout)"

  private var directory: ClosedDirectory {
    ClosedDirectory(
      tree: tree, check: Self.name, path: HostSettings.folder(of: Self.template), isOfEnrollments: true,
      refusal: "every login is refused", isolation: Self.effect)
  }

  /// The user IDs with an enrollment in the host store. Empty if this process may not read it.
  package var users: [UserID] { directory.users }

  /// Whether the host store has an enrollment of the account. False if this process may not search it.
  package func contains(_ account: TreeAccount) -> Bool {
    tree.ownStatus(of: "\(directory.path)/\(account.userID.rawValue)") != nil
  }

  /// Empty if neither the file nor a rule selects the host store.
  func findings(of rules: [PAMRule]) -> [Finding] {
    let options = [tree.options(in: HostSettings.path)] + rules.map(tree.options(of:))
    guard options.contains(where: { $0?.directory == Self.template }) else { return [] }
    let finding = directory.finding(
      absence: .failed(
        Self.name, "\(directory.path) does not exist: users cannot enroll, and every login is refused",
        remedy: directory.restoration))
    guard let group = directory.groupID else { return [finding] }
    return [finding, helperFinding(group)] + memberFindings(group)
  }

  /// The group is for the helper alone.
  private func memberFindings(_ group: GroupID) -> [Finding] {
    func fields(_ path: String) -> [[Substring]] {
      tree.lines(of: path).map { $0.split(separator: ":", omittingEmptySubsequences: false) }
    }
    let number = "\(group.rawValue)"
    let entry = fields("/etc/group").first { $0.count > 3 && $0[0] == ClosedDirectory.group }
    let members = entry?[3].split(separator: ",") ?? []
    let primary = fields("/etc/passwd").filter { $0.count > 3 && $0[3] == number }.map { $0[0] }
    func finding(_ name: Substring, _ remedy: String) -> Finding {
      .failed(
        Self.name,
        "\(name) is in the group \(ClosedDirectory.group): programs that run as \(name) can read the keys of \(name)",
        remedy: remedy)
    }
    return members.map { finding($0, "gpasswd --delete \($0) \(ClosedDirectory.group)") }
      + primary.map { finding($0, "usermod --gid users \($0)") }
  }

  private func helperFinding(_ group: GroupID) -> Finding {
    let paths = ["/usr", "/usr/local"].map { $0 + Self.helper }
    let found = ([ownHelper].compactMap { $0 } + paths).filter { tree.ownStatus(of: $0) != nil }
    guard let first = found.first else {
      return .failed(
        Self.name, "twofactor-helper is not installed: \(Self.effect)",
        remedy: "install the package twofactor, or run scripts/install")
    }
    guard found.contains(where: paths.contains) else {
      return .failed(
        Self.name, "the module does not look for twofactor-helper in \(first): \(Self.lockout)",
        remedy: "install -D -o root -g \(ClosedDirectory.group) -m 2755 \(first) \(paths[1])")
    }
    return found.lazy.compactMap { problem(of: $0, group) }.first
      ?? .ok(Self.name, "\(first) has the right owner, group and mode")
  }

  /// The helper beside this command.
  private var ownHelper: String? {
    guard tree.isThisHost, let command = tree.target(of: "/proc/self/exe") else { return nil }
    return command.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + Self.helper
  }

  private func problem(of path: String, _ group: GroupID) -> Finding? {
    guard let status = tree.ownStatus(of: path), status.isRegularFile else {
      return .failed(Self.name, "\(path) is not a regular file: \(Self.effect)", remedy: "reinstall it")
    }
    // Setgid but not setuid; executable but not writable by others.
    guard status.owner == tree.administrator, status.group == group, status.mode & 0o6023 == 0o2001 else {
      return .failed(
        Self.name,
        "\(path) does not have the owner root, the group \(ClosedDirectory.group) and the mode 2755: \(Self.effect)",
        remedy: "chown root:\(ClosedDirectory.group) \(path) && chmod 2755 \(path)")
    }
    var disk = statvfs()
    // SAFETY: the string is NUL-terminated, and the structure outlives the call.
    guard tree.isThisHost, unsafe statvfs(path, &disk) == 0, disk.f_flag & UInt(ST_NOSUID) != 0 else { return nil }
    return .failed(
      Self.name, "\(path) is on a file system that is mounted with nosuid: \(Self.effect)",
      remedy: "mount -o remount,suid \(HomeCheck(tree: tree).mountPoint(of: path))")
  }
}

extension TreeEnrollment {
  /// An enrollment in another place than the configured one: in the host store, which overrides all places, or in the
  /// home, which logins ignore if the host store is configured.
  package func misplaced(_ account: TreeAccount) -> Obstacle? {
    if settings.isHostStore {
      let path = account.home + "/.twofactor"
      guard tree.ownStatus(of: path + "/credential") != nil else { return nil }
      return Obstacle(
        "\(path) is an enrollment that logins ignore, because they use the host store",
        remedy: "twofactor move --user \(account.name) --from home")
    }
    guard HostStoreCheck(tree: tree).contains(account) else { return nil }
    return Obstacle(
      "the host store has an enrollment of \(account.name), and \(HostSettings.path) selects another place",
      remedy: "twofactor move --user \(account.name) --from host")
  }
}
