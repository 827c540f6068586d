import HostAccess

/// An account that is proved not to be enrolled.
package struct UnenrolledUser {
  let name: String
  /// Whether the account has authorized keys for SSH.
  let hasKey: Bool

  fileprivate var isRoot: Bool { name == "root" }

  /// The usual file of keys, in the home (sshd(8)).
  package static let keys = "/.ssh/authorized_keys"

  package init(name: String, hasKey: Bool) {
    self.name = name
    self.hasKey = hasKey
  }
}

/// Names the accounts that are not enrolled, and the services that refuse them.
package struct UnenrolledCheck {
  let tree: HostTree
  let services: [ServiceLogins]

  package init(tree: HostTree, services: [ServiceLogins]) {
    self.tree = tree
    self.services = services
  }

  private static let shownNames = 5

  /// Services that authenticate their caller, and admit root without authentication.
  private static let callers: Set<String> = ["sudo", "sudo-i", "doas", "polkit-1"]

  /// `enrolled` is the number of enrolled accounts; nil if not all accounts were checked.
  package func findings(of users: [UnenrolledUser], enrolled: Int?) -> [Finding] {
    let refusing = services.filter { $0.isOfProgram && $0.asksForCode && $0.unenrolled?.isRefused == true }
    guard !refusing.isEmpty else { return [] }
    let locked = accountsWithoutPassword
    let able = users.filter { !locked.contains($0.name) }
    // Accounts without a password can use only stacks that ask for the code alone, after a public key.
    let keyed = refusing.filter { $0.enrolled == LoginNeeds(passing: [.code]) }
    let behindKey = keyed.isEmpty ? [] : users.filter { locked.contains($0.name) && $0.hasKey }
    return [
      finding(able.filter(\.isRoot), refusing.filter(mayRootUse), enrolled),
      finding(
        able.filter { !$0.isRoot }, refusing, enrolled, leftOut: users.count - able.count - behindKey.count),
      finding(behindKey, keyed, enrolled),
    ].compactMap { $0 }
  }

  /// Whether root may log in through the service.
  private func mayRootUse(_ logins: ServiceLogins) -> Bool {
    guard logins.service == "sshd" else { return !Self.callers.contains(logins.service) }
    let configuration = SSHConfiguration(tree)
    let root = TreeAccount(name: "root", userID: .root, home: "/root", mayLogIn: true, groups: ["root"])
    let login = SSHConnections(configuration, tree: tree, account: root).ordinary
    return configuration.settings(for: login)[.rootLogin] == "yes"
  }

  private func finding(
    _ users: [UnenrolledUser], _ refusing: [ServiceLogins], _ enrolled: Int?, leftOut: Int = 0
  ) -> Finding? {
    guard let first = users.first, !refusing.isEmpty else { return nil }
    let names = users.map(\.name)
    let shown = names.prefix(Self.shownNames)
    let subject =
      names.count == 1
      ? "\(first.name) is not enrolled and is"
      : "\(names.count) accounts that may log in are not enrolled and are"
    var detail = subject + " refused by: " + refusing.map(\.service).joined(separator: ", ")
    if names.count > 1 { detail += " (\(shown.joined(separator: ", "))\(names.count > shown.count ? ", …" : ""))" }
    if leftOut > 0 { detail += "; \(leftOut) more without a password were left out" }
    let remedy = shown.map { "twofactor enable --user \($0)" }.joined(separator: "\n")
    // An administrator may leave some accounts out, but not all. An image may be enrolled later.
    return enrolled == 0 && tree.isThisHost
      ? .failed("not_enrolled", detail + "; nobody is enrolled", remedy: remedy)
      : .warning("not_enrolled", detail, remedy: remedy)
  }

  /// Accounts of passwd(5) whose password is locked or missing, here and in shadow(5). Empty if shadow(5) is unreadable.
  private var accountsWithoutPassword: Set<String> {
    let shadow = "/etc/shadow"
    guard let text = tree.exists(shadow) ? tree.text(of: shadow) : "" else { return [] }
    let hashes = Dictionary(
      text.split(separator: "\n").compactMap(Self.password), uniquingKeysWith: { first, _ in first })
    return Set(
      tree.lines(of: "/etc/passwd").compactMap(Self.password).compactMap { name, field in
        let hash = field == "x" ? hashes[name] ?? "*" : field
        return hash.hasPrefix("!") || hash.hasPrefix("*") ? name : nil
      })
  }

  /// The first two fields of a line.
  private static func password(_ line: some StringProtocol) -> (String, String)? {
    let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    return fields.count > 1 ? (String(fields[0]), String(fields[1])) : nil
  }
}

extension ServiceLogins {
  /// Whether a program other than the command uses the service. Excludes files to include, and backups.
  fileprivate var isOfProgram: Bool {
    service != PAMConfiguration.other && service != PAMService.password && !HostFindings.isShared(service)
      && !HostFindings.isBackup(service)
  }
}
