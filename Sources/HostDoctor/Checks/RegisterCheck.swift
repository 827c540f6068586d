import Enrollment
import Glibc
import HostAccess
import SystemFiles

/// Checks the directories of the ``EnrollmentRegister``, and its entries without an account.
package struct RegisterCheck {
  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  private static let name = "register"
  private static let path = String(decoding: EnrollmentRegister.path.bytes)
  private static let parent = "/var/lib/twofactor"
  private static let group = "_twofactor"
  private static let mode: UInt32 = 0o1730
  private static let creation = """
    groupadd --force --system \(group) && install -d -o root -g root -m 755 \(parent) \
    && install -d -o root -g \(group) -m 1730 \(path)
    """

  // MARK: The directories

  /// `rules` are all rules that call the module.
  func finding(of rules: [PAMRule]) -> Finding {
    // As a login, follow symlinks above the parent alone.
    for path in ["/", "/var", "/var/lib", Self.parent] {
      guard let status = path == Self.parent ? tree.ownStatus(of: path) : tree.status(of: path) else {
        return absence(rules)
      }
      if let finding = untrusted(path, status) { return finding }
    }
    guard let status = tree.ownStatus(of: Self.path) else { return absence(rules) }
    if let finding = untrusted(Self.path, status) { return finding }
    guard let group = groupID else {
      return .failed(
        Self.name, "the group \(Self.group) does not exist: users who enroll are registered only at their next login",
        remedy: Self.creation)
    }
    guard status.group == group else {
      return .failed(
        Self.name,
        "\(Self.path) is not of the group \(Self.group): users who enroll are registered only at their next "
          + "login", remedy: "chown root:\(Self.group) \(Self.path) && chmod 1730 \(Self.path)")
    }
    guard status.mode & 0o7777 == Self.mode else {
      return .failed(
        Self.name, "\(Self.path) has the mode \(Self.octal(status.mode)) instead of \(Self.octal(Self.mode))",
        remedy: "chmod 1730 \(Self.path)")
    }
    return .ok(Self.name, "\(Self.path) has the right owner and mode")
  }

  private func absence(_ rules: [PAMRule]) -> Finding {
    let options = rules.compactMap { rule in tree.options(of: rule).map { (rule, $0) } }
      .filter { $0.1.passesUnenrolled }
    // An empty register on an unmounted mount point would declare every user as not enrolled.
    let remedy = HomeCheck(tree: tree).unmountedMount(of: Self.path).map { "mount \($0)" } ?? Self.creation
    if let (rule, _) = options.first(where: { $0.1.directory.hasPrefix(Self.parent + "/") }) {
      return .failed(
        Self.name,
        "\(Self.path) does not exist, as if \(Self.parent) were not mounted: \(rule.place) refuses users who are not "
          + "enrolled", remedy: remedy)
    }
    guard let (rule, _) = options.first else {
      return .skipped(Self.name, "\(Self.path) does not exist, and no stack lets users pass who are not enrolled")
    }
    return .warning(
      Self.name,
      "\(Self.path) does not exist: \(rule.place) lets enrolled users pass without a code while their homes are "
        + "encrypted, covered or not mounted", remedy: remedy)
  }

  /// See ``TrustRule/rootDirectory``.
  private func untrusted(_ path: String, _ status: FileStatus) -> Finding? {
    let refusal = "users who are not enrolled are refused"
    let isRegister = path == Self.path
    guard status.isDirectory else {
      return .failed(
        Self.name, "\(path) is not a directory: \(refusal)",
        remedy: isRegister ? "rm \(path) && \(Self.creation)" : "replace it with a directory")
    }
    guard status.owner == tree.administrator else {
      return .failed(
        Self.name, "\(path) is not owned by root: \(refusal)",
        remedy: isRegister ? "chown root:\(Self.group) \(path) && chmod 1730 \(path)" : "chown root \(path)")
    }
    guard status.mode & 0o002 == 0 else {
      return .failed(
        Self.name, "\(path) is writable by others: \(refusal)", remedy: "chmod \(isRegister ? "1730" : "o-w") \(path)")
    }
    return nil
  }

  private var groupID: GroupID? {
    guard tree.isThisHost else {
      let line = tree.lines(of: "/etc/group").first { $0.hasPrefix(Self.group + ":") }
      let fields = line?.split(separator: ":", omittingEmptySubsequences: false)
      return fields.flatMap { $0.count > 2 ? UInt32($0[2]) : nil }.map(GroupID.init)
    }
    // SAFETY: the string is NUL-terminated, and the entry is copied before the next getgrnam(3).
    return unsafe getgrnam(Self.group).map { unsafe GroupID(rawValue: $0.pointee.gr_gid) }
  }

  private static func octal(_ mode: UInt32) -> String { String(mode & 0o7777, radix: 8) }

  // MARK: The entries

  /// Empty if there is no register, or this process may not read it.
  package var users: [UserID] {
    if tree.isThisHost { return (try? EnrollmentRegister.all) ?? [] }
    let numbers = tree.names(in: Self.path).compactMap { name in UInt32(name).flatMap { "\($0)" == name ? $0 : nil } }
    return numbers.sorted().map(UserID.init)
  }

  package func names(_ account: TreeAccount) -> Bool { tree.exists("\(Self.path)/\(account.userID.rawValue)") }

  /// Finds entries without an account. `accounts` are all accounts in the tree's `/etc/passwd`.
  package func finding(ofUsersOutside accounts: [TreeAccount]) -> Finding? {
    let sources = NameSources(tree: tree).sources(of: ["passwd"])
    guard sources.allSatisfy({ NameSources.local.contains($0.name) }) else { return nil }
    return finding(ofUsersWithoutAccount: users.filter { user in !accounts.contains { $0.userID == user } })
  }

  /// Finds entries without an account.
  package func finding(ofUsersWithoutAccount users: [UserID]) -> Finding? {
    guard let first = users.first else { return nil }
    let numbers = users.map { "\($0.rawValue)" }
    let isOne = numbers.count == 1
    return .warning(
      Self.name,
      "the register names the user \(isOne ? "ID" : "IDs") \(numbers.joined(separator: ", ")), which no account has: an "
        + "account that gets \(isOne ? "it" : "one of them") is refused until it is enrolled",
      remedy: "if no name service knows it (getent passwd \(first.rawValue)):\n"
        + "rm " + numbers.map { "\(Self.path)/\($0)" }.joined(separator: " "))
  }
}

extension TreeEnrollment {
  /// Why a registered user without an enrollment cannot log in.
  package func missing(_ account: TreeAccount, _ directory: String) -> Obstacle {
    let mount = HomeCheck(tree: tree).unmountedMount(of: directory)
    let isBelowHome = directory.hasPrefix(account.home + "/")
    let usual =
      isBelowHome ? "mount or unlock the home of \(account.name)" : "twofactor enable --user \(account.name)"
    return Obstacle(
      "\(directory) does not exist, but the user is registered as enrolled"
        + (mount.map { ": \($0) is not mounted" } ?? ""),
      remedy: (mount.map { "mount \($0)" } ?? usual)
        + "\nor, if the enrollment is lost: twofactor disable --user \(account.name)")
  }
}
