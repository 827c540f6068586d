import Enrollment
import FixedMemory
import HostAccess
import SystemFiles

/// An account in a host's `/etc/passwd` and `/etc/group`.
package struct TreeAccount: Equatable {
  package let name: String
  let userID: UserID
  package let home: String
  /// Whether the shell allows a login.
  package let mayLogIn: Bool
  let groups: [String]
  private let groupIDs: Set<UInt32>

  /// From any source in nsswitch.conf(5), with the primary group alone.
  package init(_ account: UserAccount) {
    self.init(
      name: account.nameText, userID: account.entry.userID, home: account.homeText, mayLogIn: true, groups: [],
      groupIDs: [account.groupID])
  }

  init(
    name: String, userID: UserID, home: String, mayLogIn: Bool, groups: [String], groupIDs: Set<UInt32> = []
  ) {
    self.name = name
    self.userID = userID
    self.home = home
    self.mayLogIn = mayLogIn
    self.groups = groups
    self.groupIDs = groupIDs
  }

  /// Whether the permission bits allow the account to search a directory. Ignores access control lists.
  func maySearch(_ directory: FileStatus) -> Bool {
    if userID == .root { return true }
    let shift = directory.owner == userID ? 6 : groupIDs.contains(directory.group.rawValue) ? 3 : 0
    return directory.mode >> UInt32(shift) & 1 != 0
  }

  /// Nil if the host or tree has no such account.
  package static func named(_ name: String, in tree: HostTree) -> TreeAccount? {
    guard tree.isThisHost else { return all(in: tree).first { $0.name == name } }
    return (try? UserAccount.existing(named: name)).map { TreeAccount($0) }
  }

  package static func all(in tree: HostTree) -> [TreeAccount] {
    var groupsOfID: [String: [[String]]] = [:]
    var groupsOfMember: [String: [[String]]] = [:]
    for group in entries(of: "/etc/group", in: tree, fields: 4) {
      groupsOfID[group[2], default: []].append(group)
      for member in group[3].split(separator: ",") { groupsOfMember[String(member), default: []].append(group) }
    }
    return entries(of: "/etc/passwd", in: tree, fields: 7).compactMap { entry in
      guard let userID = UInt32(entry[2]) else { return nil }
      let primary = groupsOfID[entry[3]] ?? []
      let own = primary + (groupsOfMember[entry[0]] ?? []).filter { !primary.contains($0) }
      let shell = entry[6].split(separator: "/").last.map(String.init) ?? "sh"
      return TreeAccount(
        name: entry[0], userID: UserID(rawValue: userID), home: entry[5],
        mayLogIn: !UserAccount.closedShells.contains(shell), groups: own.map { $0[0] },
        groupIDs: Set((own.map { $0[2] } + [entry[3]]).compactMap { UInt32($0) }))
    }
  }

  private static func entries(of path: String, in tree: HostTree, fields count: Int) -> [[String]] {
    tree.lines(of: path).compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      return fields.count == count && !fields[0].isEmpty ? fields : nil
    }
  }

  /// `template` is the option `directory`.
  func enrollment(template: String) throws(EnrollmentFailure) -> (directory: String, isBelowHome: Bool) {
    // SAFETY: the strings are NUL-terminated, and copied by the initializer.
    let entry = unsafe Account(name: name, userID: userID, groupID: .invalid, home: home)
    guard let entry else { throw EnrollmentFailure(.configuration, "account", "has a name or home that is too long") }
    let path = try EnrollmentPath(template: template.utf8.span, account: entry)
    var text = ByteText(capacity: 4095)
    path.describe(into: &text, account: entry)
    return (String(decoding: text.bytes), path.isBelowHome)
  }
}
