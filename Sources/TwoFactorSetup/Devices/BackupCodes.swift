import CSetup
import CSystem
import FixedMemory

/// New backup codes: what the user keeps, and what the host keeps to know them by.
struct BackupCodes {
  /// How many may be asked for.
  static let counts = 0...32
  /// How many there are unless asked otherwise.
  static let defaultCount = 10

  /// Crockford's base32: no I, L, O and U, so that nothing is misread or spells a word.
  static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
  /// The length of a code: ten characters of five bits are a chance of one in 10^15.
  static let length = 10

  /// The codes as they are shown: `XXXXX-XXXXX`.
  let codes: [String]

  /// Makes `count` different codes.
  ///
  /// - Throws: ``SetupError`` where there is no randomness.
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

  /// The codes hashed with yescrypt (crypt(5)), as the host stores passwords, all under one new salt: a login
  /// hashes what was typed once and compares it with all.
  ///
  /// - Throws: ``SetupError`` where the host's libcrypt cannot.
  func hashes() throws -> [String] { try Self.hashes(of: codes) }

  /// Codes of this program or of another one hashed likewise.
  static func hashes(of codes: [String]) throws -> [String] {
    if codes.isEmpty { return [] }
    let failure = SetupError(
      .configuration, "this system cannot hash with yescrypt", hint: "install libcrypt 4.4 or later (libxcrypt)")
    let random = try Randomness.bytes(count: 16)
    var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
    let salted = unsafe random.bytes.withUnsafeBufferPointer { bytes in
      unsafe csetup_new_salt(bytes.baseAddress, Int32(bytes.count), &setting)
    }
    guard salted == 0 else { throw failure }
    return try codes.map { code in
      var hash = [CChar](repeating: 0, count: Int(CRYPT_OUTPUT_SIZE))
      let phrase = code.filter { $0 != "-" }
      guard unsafe csystem_crypt(phrase, setting, &hash, hash.count) == 0 else { throw failure }
      return String(terminated: hash)
    }
  }

  /// The codes in two columns, numbered down.
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

  /// What a person is shown.
  var page: String {
    """
    Backup codes, each good for one login when the phone is not at hand:

    \(columns)
    Keep them where you find them without this computer. They are not shown again.

    """
  }

  /// What is written to a file.
  func fileContents(account: String, issuer: String) -> String {
    let heading = "Backup codes of \(account.printable) at \(issuer.printable), each good for one login:\n\n"
    return heading + codes.joined(separator: "\n") + "\n"
  }
}
