import Enrollment
import Glibc
import HostAccess

/// An account in the files of a host, `/etc/passwd` and `/etc/group`.
package struct TreeAccount: Equatable {
  package let name: String
  let userID: uid_t
  let home: String
  /// Whether the shell lets it log in.
  package let mayLogIn: Bool
  /// The names of its groups.
  let groups: [String]

  /// An account of this host, wherever it is kept.
  package init(_ account: UserAccount) {
    self.init(name: account.nameText, userID: account.userID, home: account.homeText, mayLogIn: true, groups: [])
  }

  init(name: String, userID: uid_t, home: String, mayLogIn: Bool, groups: [String]) {
    self.name = name
    self.userID = userID
    self.home = home
    self.mayLogIn = mayLogIn
    self.groups = groups
  }

  /// All accounts of a host's files, in their order.
  package static func all(in tree: HostTree) -> [TreeAccount] {
    let groups = fields(tree.text(of: "/etc/group"), count: 4)
    return fields(tree.text(of: "/etc/passwd"), count: 7).compactMap { entry in
      guard let userID = uid_t(entry[2]) else { return nil }
      let own = groups.filter { $0[2] == entry[3] || $0[3].split(separator: ",").contains(Substring(entry[0])) }
      let shell = entry[6].split(separator: "/").last.map(String.init) ?? "sh"
      return TreeAccount(
        name: entry[0], userID: userID, home: entry[5], mayLogIn: !UserAccount.closedShells.contains(shell), groups: own.map { $0[0] })
    }
  }

  private static func fields(_ text: String?, count: Int) -> [[String]] {
    (text ?? "").split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      return fields.count == count && !fields[0].isEmpty ? fields : nil
    }
  }
}
