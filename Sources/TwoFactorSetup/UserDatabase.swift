import Enrollment
import FixedMemory
import Glibc

/// The user database of the host, passwd(5) and whatever else nsswitch.conf(5) names.
enum UserDatabase {
  /// Shells that end a login at once.
  private static let closed: Set<String> = ["nologin", "false", "sync", "halt", "shutdown"]

  /// All accounts whose shell lets them log in, each once, in the order of the database. Read in one go: to
  /// look for each by name would read the whole file for every one of them.
  static func accountsWithLogin() -> [UserAccount] {
    var accounts: [UserAccount] = []
    var seen: Set<String> = []
    setpwent()
    defer { endpwent() }
    while let entry = unsafe getpwent() {
      let shell = unsafe entry.pointee.pw_shell.map { unsafe String(cString: $0) } ?? ""
      guard !closed.contains(String(shell.split(separator: "/").last ?? "")) else { continue }
      let found = unsafe Account(
        name: entry.pointee.pw_name, userID: entry.pointee.pw_uid, groupID: entry.pointee.pw_gid,
        home: entry.pointee.pw_dir)
      guard let found else { continue }
      let account = UserAccount(found)
      if seen.insert(account.nameText).inserted { accounts.append(account) }
    }
    return accounts
  }
}
