import Enrollment
import FixedMemory
import Glibc

/// An account of this host that can be handed on freely: the entry that a login works with is never copied.
final class UserAccount: Sendable {
  /// The entry of the user database, as a login has it.
  let entry: Account

  /// The numeric user id, and that of the primary group.
  var userID: uid_t { entry.userID }
  var groupID: gid_t { entry.groupID }

  /// The login name as text.
  let nameText: String

  /// The home directory as text.
  let homeText: String

  /// The account of an entry.
  init(_ entry: consuming Account) {
    nameText = String(decoding: entry.name.bytes)
    homeText = String(decoding: entry.home.bytes)
    self.entry = entry
  }

  /// The account with this name.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchAccount``.
  static func existing(named name: String) throws -> UserAccount {
    var text = ByteText(capacity: 255)
    text.append(name.utf8.span)
    var entry = Account()
    try require(entry.find(named: text), or: "no such account: \(name)")
    return UserAccount(entry)
  }

  /// The account of the user who runs the command. Its home is the one in the user database: what the
  /// environment says of a home is the caller's wish, and a login does not follow it.
  ///
  /// - Throws: ``SetupError``: with ``ExitStatus/noSuchAccount`` where the user id has no entry.
  static func ofCaller() throws -> UserAccount {
    let userID = getuid()
    guard geteuid() == userID else {
      throw SetupError(
        .notPermitted, "the command runs with the rights of another account than its caller's",
        hint: "take the set-user-ID bit off the file, it needs none")
    }
    var entry = Account()
    try require(entry.find(userID: userID), or: "no account has the user id \(userID)")
    return UserAccount(entry)
  }

  private static func require(_ lookup: Account.Lookup, or message: String) throws {
    switch lookup {
    case .found: break
    case .unknown: throw SetupError(.noSuchAccount, message)
    case .failed(let error):
      throw SetupError(.inputOutput, "cannot read the user database: \(SystemError(rawValue: error).text)")
    }
  }
}

extension String {
  /// The text that the bytes spell in UTF-8; what is not UTF-8 is replaced.
  init(decoding bytes: Span<UInt8>) {
    self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

extension String {
  /// The text in a buffer of C, up to its NUL.
  init(terminated buffer: [CChar]) {
    self.init(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
