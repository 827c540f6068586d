import CSetup
import CSystem
import FixedMemory
import HostAccess

struct BackupCodes {
  static let counts = 0...32
  static let defaultCount = 10

  /// Crockford's Base32 alphabet, without the ambiguous I, L, O and U.
  static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
  /// 50 random bits.
  static let length = 10

  static let cannotHash = SetupError(
    .configuration, "this system cannot hash with yescrypt", hint: "install libcrypt 4.4 or later (libxcrypt)")

  /// Formatted as `XXXXX-XXXXX`.
  let codes: [String]

  init(count: Int) throws {
    var codes: [String] = []
    while codes.count < count {
      let random = try Randomness.bytes(count: Self.length)
      var text: [UInt8] = []
      for index in 0..<Self.length {
        if index == Self.length / 2 { text.append(UInt8(ascii: "-")) }
        text.append(Self.alphabet[Int(random.bytes[index] & 31)])
      }
      let code = String(decoding: text, as: UTF8.self)
      if !codes.contains(code) { codes.append(code) }
    }
    self.codes = codes
  }

  func hashes() throws -> [String] { try Self.hashes(of: codes) }

  /// Hashes codes with yescrypt (crypt(5)) under one setting, so that a login hashes the reply once. An empty `setting`
  /// means one with a new salt.
  static func hashes(of codes: [String], setting old: String = "") throws -> [String] {
    if codes.isEmpty { return [] }
    let setting = try old.isEmpty ? newSetting() : old
    return try codes.map { code in
      var hash = [CChar](repeating: 0, count: Int(CRYPT_OUTPUT_SIZE))
      let phrase = code.filter { $0 != "-" }
      // SAFETY: both strings are NUL-terminated, and the callee gets the buffer's size.
      guard unsafe csystem_crypt(phrase, setting, &hash, hash.count) == 0 else { throw cannotHash }
      return String(terminated: hash)
    }
  }

  static func requireHashing() throws { _ = try newSetting() }

  private static func newSetting() throws -> String {
    let random = try Randomness.bytes(count: 16)
    var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
    // SAFETY: the callee gets the count of the random bytes and a buffer of the required size.
    let salted = unsafe random.bytes.withUnsafeBufferPointer { bytes in
      unsafe csetup_new_salt(bytes.baseAddress, Int32(bytes.count), &setting)
    }
    guard salted == 0 else { throw cannotHash }
    return String(terminated: setting)
  }

  /// In two columns, numbered.
  var columns: String {
    let rows = (codes.count + 1) / 2
    var text = ""
    for row in 0..<rows {
      let cells = [row, row + rows].filter { $0 < codes.count }.map { index in
        String(repeating: " ", count: index < 9 ? 1 : 0) + "\(index + 1)  \(codes[index])"
      }
      text += "  " + cells.joined(separator: "      ") + "\n"
    }
    return text
  }

  func page(inOneColumn: Bool) -> String {
    """
    Backup codes, each good for one login when the phone is not at hand:

    \(inOneColumn ? codes.map { $0 + "\n" }.joined() : columns)
    Keep them somewhere you can reach without this computer.
    They cannot be shown again later.

    """
  }

  /// Readable even if the application shows line breaks as blanks.
  var plainPage: String {
    """
    Backup codes, each good for one login when the phone is not at hand:
    \(codes.joined(separator: " "))
    They cannot be shown again later.

    """
  }

  private static let headingStart = "Backup codes of "
  private static let headingEnd = ", each good for one login:"

  /// The contents of a file. Who runs the command as root through sudo(8) must not choose any of it: `host` is the name
  /// that the administrator chose.
  func fileContents(account: String, host: String) -> String {
    let heading = "\(Self.headingStart)\(account.printable) at \(host.printable)\(Self.headingEnd)\n\n"
    return heading + codes.joined(separator: "\n") + "\n"
  }

  /// Whether a file that starts with these bytes is one of this command.
  static func isOwn(_ start: [UInt8]) -> Bool {
    let line = start.prefix { $0 != UInt8(ascii: "\n") }
    return line.starts(with: Array(headingStart.utf8)) && line.reversed().starts(with: headingEnd.utf8.reversed())
  }
}

/// Shows new backup codes to the user before the enrollment is enabled.
struct BackupCodesHandover {
  let session: Session
  let codes: BackupCodes
  /// Nil for the screen.
  let file: String?
  let force: Bool
  /// Whether to ask the user to confirm that the codes are stored.
  let asks: Bool
  /// Whether the codes are shown in one column on any terminal.
  var hasOneColumn = false
  /// For a user who gives up.
  let hint: String?

  /// Asks until the user has stored the codes, in a login at most ``LoginDialogue/tries`` times.
  ///
  /// - Throws: ``SetupError`` if the codes cannot be written, or the input ends; ``GivenUp`` in a login.
  func run(_ files: inout KeptFiles) throws {
    guard !codes.codes.isEmpty else { return }
    if let file {
      let contents = codes.fileContents(account: session.account.nameText, host: session.hostIssuer)
      try files.write(file, contents: Array(contents.utf8), force: force)
    }
    try show()
    guard asks, !session.subject.isManagedByRoot else { return }
    var tries = session.terminal.dialogue == nil ? Int.max : LoginDialogue.tries
    while try !areStored() {
      tries -= 1
      guard tries > 0 else {
        throw GivenUp(
          reason: SetupError(.refused, "the backup codes are not stored, so two-factor was not enabled", hint: hint))
      }
      try session.show("Two-factor is not enabled until you have stored the backup codes.\n")
      if session.terminal.isInteractive {
        try session.show("To give up, press Ctrl-C\(hint.map { ", then \($0)" } ?? "").\n")
      }
      try show()
    }
  }

  private func show() throws {
    if let file {
      try session.show("\nThe backup codes are in \(file.printable)\n")
    } else if !session.wantsJSON {
      let page = codes.page(inOneColumn: hasOneColumn || session.terminal.hasOneColumn)
      try session.show(session.terminal.dialogue?.form == .plain ? codes.plainPage : "\n" + page)
    }
  }

  private func areStored() throws -> Bool {
    do {
      return try session.terminal.confirm("Have you stored the backup codes in a safe place?")
    } catch let error as SetupError where error == Terminal.endOfInput {
      throw SetupError(error.status, error.message, hint: hint)
    }
  }
}
