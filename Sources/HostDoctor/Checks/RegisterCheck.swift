import Enrollment
import HostAccess
import SystemFiles

/// Checks the directories of the ``EnrollmentRegister``, and its entries without an account.
package struct RegisterCheck {
  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  private static let name = "register"
  private static let path = String(decoding: EnrollmentRegister.path.bytes)

  private var directory: ClosedDirectory {
    ClosedDirectory(
      tree: tree, check: Self.name, path: Self.path, isOfEnrollments: false,
      refusal: "users who are not enrolled are refused",
      isolation: "users who enroll are registered only at their next login")
  }

  // MARK: The directories

  /// `rules` are all rules that call the module.
  func finding(of rules: [PAMRule]) -> Finding { directory.finding(absence: absence(rules)) }

  private func absence(_ rules: [PAMRule]) -> Finding {
    let all = rules.compactMap { rule in tree.options(of: rule).map { (rule, $0) } }
    let options = all.filter { $0.1.passesUnenrolled && !$0.1.isPostgreSQL }
    // An empty register on an unmounted mount point would declare every user as not enrolled.
    let (parent, remedy) = (ClosedDirectory.parent, directory.restoration)
    if let (rule, _) = options.first(where: { $0.1.directory.hasPrefix(parent + "/") }) {
      return .failed(
        Self.name,
        "\(Self.path) does not exist, as if \(parent) were not mounted: \(rule.place) refuses users who are not "
          + "enrolled", remedy: remedy)
    }
    if !all.isEmpty, all.allSatisfy(\.1.isPostgreSQL) {
      return .skipped(Self.name, "\(Self.path) does not exist, and a database needs no register")
    }
    guard let (rule, _) = options.first else {
      return .skipped(Self.name, "\(Self.path) does not exist, and no stack lets users pass who are not enrolled")
    }
    return .warning(
      Self.name,
      "\(Self.path) does not exist: \(rule.place) lets enrolled users pass without a code while their homes are "
        + "encrypted, covered or not mounted", remedy: remedy)
  }

  // MARK: The entries

  /// Empty if there is no register, or this process may not read it.
  package var users: [UserID] {
    tree.isThisHost ? (try? EnrollmentRegister.all) ?? [] : directory.users
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
