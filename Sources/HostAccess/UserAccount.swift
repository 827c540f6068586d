import FixedMemory
import Glibc
import SystemFiles

/// An ``Account`` that can be copied.
package final class UserAccount: Sendable {
  package let entry: Account

  package var userID: uid_t { entry.userID.rawValue }
  package var groupID: gid_t { entry.groupID.rawValue }

  package let nameText: String

  package let homeText: String

  package init(_ entry: consuming Account) {
    nameText = String(decoding: entry.name.bytes)
    homeText = String(decoding: entry.home.bytes)
    self.entry = entry
  }

  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchAccount``.
  package static func existing(named name: String) throws -> UserAccount {
    var text = ByteText(capacity: 255)
    text.append(name.utf8.span)
    var entry = Account()
    try require(entry.find(named: text), or: "no such account: \(name)")
    return UserAccount(entry)
  }

  /// The account with a user ID; nil if no account has it, or the user database cannot be read.
  package static func existing(userID: UserID) -> UserAccount? {
    var entry = Account()
    return entry.find(userID: userID) == .found ? UserAccount(entry) : nil
  }

  /// The account of the caller. Ignores the environment, as logins do.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchAccount`` if the user ID has no entry.
  package static func ofCaller() throws -> UserAccount {
    let userID = getuid()
    guard geteuid() == userID else {
      throw SetupError(
        .notPermitted, "the command runs with the rights of another account than its caller's",
        hint: "take the set-user-ID bit off the file, it needs none")
    }
    var entry = Account()
    try require(entry.find(userID: UserID(rawValue: userID)), or: "no account has the user id \(userID)")
    return UserAccount(entry)
  }

  private static func require(_ lookup: Account.Lookup, or message: String) throws {
    switch lookup {
    case .found: break
    case .unknown: throw SetupError(.noSuchAccount, message)
    case .failed(let error):
      throw SetupError(.inputOutput, "cannot read the user database: \(error.text)")
    }
  }
}

extension UserAccount {
  /// Shells that end a login at once.
  package static let closedShells: Set<String> = ["nologin", "false", "sync", "halt", "shutdown"]

  /// Accounts whose shell allows a login, without repetition, in the order of getpwent(3).
  package static func allWithLogin() -> [UserAccount] {
    var accounts: [UserAccount] = []
    var seen: Set<String> = []
    setpwent()
    defer { endpwent() }
    // SAFETY: the entry and its NUL-terminated strings are copied before the next getpwent(3).
    while let entry = unsafe getpwent() {
      let shell = unsafe entry.pointee.pw_shell.map { unsafe String(cString: $0) } ?? ""
      guard !closedShells.contains(String(shell.split(separator: "/").last ?? "")) else { continue }
      let found = unsafe Account(
        name: entry.pointee.pw_name, userID: UserID(rawValue: entry.pointee.pw_uid),
        groupID: GroupID(rawValue: entry.pointee.pw_gid),
        home: entry.pointee.pw_dir)
      guard let found else { continue }
      let account = UserAccount(found)
      if seen.insert(account.nameText).inserted { accounts.append(account) }
    }
    return accounts
  }
}

extension String {
  /// Replaces invalid UTF-8.
  package init(decoding bytes: Span<UInt8>) {
    // SAFETY: the buffer outlives the call.
    self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
  }

  /// The text up to the NUL, from a buffer that a C function filled.
  package init(terminated buffer: [CChar]) {
    self.init(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(truncatingIfNeeded:)), as: UTF8.self)
  }
}
