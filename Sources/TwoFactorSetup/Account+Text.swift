import Enrollment
import FixedMemory
import Glibc

extension Account {
  /// The login name as text.
  var nameText: String { String(decoding: name.bytes) }

  /// The home directory as text.
  var homeText: String { String(decoding: home.bytes) }

  /// The account with this name.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchAccount``.
  static func existing(named name: String) throws -> Account {
    var text = ByteText<256>()
    for byte in name.utf8 { text.append(byte) }
    var account = Account()
    try require(account.find(named: text), or: "no such account: \(name)")
    return account
  }

  /// The account of the user who runs the command. Its home is the one in the user database: what the
  /// environment says of a home is the caller's wish, and a login does not follow it.
  ///
  /// - Throws: ``SetupError``: with ``ExitStatus/noSuchAccount`` where the user id has no entry.
  static func ofCaller() throws -> Account {
    let userID = getuid()
    guard geteuid() == userID else {
      throw SetupError(
        .notPermitted, "the command runs with the rights of another account than its caller's",
        hint: "take the set-user-ID bit off the file, it needs none")
    }
    var account = Account()
    try require(account.find(userID: userID), or: "no account has the user id \(userID)")
    return account
  }

  private static func require(_ lookup: Lookup, or message: String) throws {
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
