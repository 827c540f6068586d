import Enrollment
import FixedMemory
import OneTimePassword
import Testing

@testable import KeyFormats

/// Exports of apps. The expected codes are those of RFC 6238 appendix B and RFC 4226 appendix D.
@Suite struct AppExportTests {
  /// The keys of RFC 6238 appendix B: of 20, 32 and 64 bytes.
  private static let sha1Key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
  private static let sha256Key = sha1Key + "GEZDGNBVGY3TQOJQGEZA"
  private static let sha512Key = sha1Key + sha1Key + sha1Key + "GEZDGNA"
  /// The key of 20 bytes, as Java writes it.
  private static let bytes = "[49,50,51,52,53,54,55,56,57,48,49,50,51,52,53,54,55,56,57,48]"

  private static let aegis = """
    {"version": 1, "header": {"slots": null, "params": null}, "db": {"version": 3, "entries": [
      {"type": "totp", "uuid": "3ae6f1ad-2e65-4ed2-a953-1ec0dff2386d", "name": "alice", "issuer": "server",
       "note": "a \\"note\\"", "favorite": true, "icon": null, "groups": [],
       "info": {"secret": "\(sha1Key)", "algo": "SHA1", "digits": 8, "period": 30}},
      {"type": "totp", "name": "bob", "issuer": "", "info":
        {"secret": "\(sha256Key)", "algo": "SHA256", "digits": 8, "period": 30}},
      {"type": "totp", "name": "", "issuer": "server", "info":
        {"secret": "\(sha512Key)", "algo": "SHA512", "digits": 8, "period": 30}},
      {"type": "hotp", "name": "carol", "issuer": "server", "info":
        {"secret": "\(sha1Key)", "algo": "SHA1", "digits": 6, "counter": 9}}
    ], "groups": [{"uuid": "1", "name": "work"}], "icons_optimized": true}}
    """

  private static let twoFAS = """
    {"services": [
      {"name": "server", "secret": "\(sha1Key)", "updatedAt": 1702934567518, "otp": {"link":
        "otpauth:\\/\\/totp\\/server:alice?secret=\(sha1Key)&digits=8", "label": "alice", "account": "alice",
        "issuer": "Server Ltd", "digits": 8, "period": 30, "algorithm": "SHA1", "tokenType": "TOTP", "source": "Link"},
       "order": {"position": 0}, "icon": {"selected": "Label"}},
      {"name": "second", "secret": "\(sha1Key)", "type": "Unknown", "otp": {"label": "bob"}},
      {"name": "third", "secret": "\(sha1Key)", "otp":
        {"account": "carol", "digits": 6, "algorithm": "SHA1", "counter": 9, "tokenType": "HOTP"}}
    ], "groups": [], "schemaVersion": 4, "appVersionName": "5.1.0", "appOrigin": "android"}
    """

  private static let andOTP = """
    [{"secret": "\(sha1Key)======", "issuer": "server", "label": "alice", "digits": 8, "type": "TOTP",
      "algorithm": "SHA1", "thumbnail": "Default", "last_used": 1608146844162, "used_frequency": 0, "period": 30,
      "tags": ["a"]},
     {"secret": "\(sha1Key)", "label": "server - bob"},
     {"secret": "\(sha1Key)", "issuer": "server", "label": "carol", "digits": 6, "type": "HOTP", "algorithm": "SHA1",
      "counter": 9}]
    """

  private static let freeOTP = """
    {"tokenOrder": ["server:alice", "bob"], "tokens": [
      {"algo": "SHA1", "counter": 0, "digits": 8, "issuerExt": "server", "issuerInt": "other", "label": "alice",
       "period": 30, "secret": \(bytes), "type": "TOTP", "color": "ff0000", "lock": true},
      {"issuerExt": "", "label": "b", "labelAlt": "bob", "secret": \(bytes), "type": "TOTP"},
      {"algo": "SHA1", "counter": 9, "digits": 6, "issuerExt": "server", "label": "carol", "period": 30,
       "secret": \(bytes), "type": "HOTP"}]}
    """

  private static let bitwarden = """
    {"encrypted": false, "folders": [], "items": [
      {"type": 2, "name": "a note", "secureNote": {"type": 0}},
      {"type": 1, "name": "no key", "login": {"username": "x", "totp": null}},
      {"type": 1, "name": "an empty key", "login": {"username": "x", "totp": ""}},
      {"type": 1, "name": "server", "login": {"username": "alice", "password": "secret", "totp":
        "otpauth://totp/x?secret=\(sha1Key)&digits=8"}},
      {"type": 1, "name": "second", "login": {"username": "bob", "totp": "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"}},
      {"type": 1, "name": "third", "login": {"totp": "otpauth://totp/Third:carol?secret=\(sha1Key)&period=60"}}]}
    """

  private func entries(_ text: String, _ format: KeyFileFormat? = nil) throws -> [KeyEntry] {
    guard let format = format ?? KeyFileFormat(of: text.utf8.span) else { throw Missing(what: "format") }
    return try format.entries(of: text.utf8.span, KeyFileReading(now: 0))
  }

  private func problem(_ text: String, _ format: KeyFileFormat? = nil) throws -> FormatProblem {
    do {
      let entries = try entries(text, format)
      #expect(entries.count == 1)
      guard case .failure(let problem) = entries[0].device else { throw Missing(what: "problem") }
      return problem
    } catch let problem as FormatProblem {
      return problem
    }
  }

  /// The code of the device at 1111111109 seconds, or at its counter.
  private func code(_ entry: KeyEntry) throws -> String {
    let device = try entry.device.get()
    let factor: UInt64 =
      switch device.kind {
      case .totp(let period): UInt64(1_111_111_109 / period)
      case .hotp(let counter): counter
      }
    guard let secret = device.key.sharedSecret(device.algorithm),
      let code = secret.code(at: factor, digits: device.digits)
    else { throw Missing(what: "memory") }
    let digits = String(code)
    return String(repeating: "0", count: Int(device.digits.rawValue) - digits.count) + digits
  }

  @Test(arguments: [
    (
      aegis, KeyFileFormat.aegis,
      ["server alice 07081804", "- bob 68084774", "server - 25091201", "server carol 520489"]
    ),
    (twoFAS, .twoFAS, ["server alice 07081804", "second bob 081804", "third carol 520489"]),
    (andOTP, .andOTP, ["server alice 07081804", "- server - bob 081804", "server carol 520489"]),
    (freeOTP, .freeOTP, ["server alice 07081804", "- bob 081804", "server carol 520489"]),
    (bitwarden, .bitwarden, ["server alice 07081804", "second bob 081804", "third carol 360094"]),
  ])
  func accountsMakeTheCodesOfTheApp(text: String, format: KeyFileFormat, accounts: [String]) throws {
    #expect(KeyFileFormat(of: text.utf8.span) == format)
    let found = try entries(text).map { "\($0.issuer ?? "-") \($0.account ?? "-") \(try code($0))" }
    #expect(found == accounts)
  }

  @Test(arguments: [aegis, twoFAS, andOTP, freeOTP, bitwarden])
  func aDamagedExportIsRefused(text: String) throws {
    #expect(try problem(String(text.dropLast())).message == "it is truncated")
    #expect(try problem(text + "}").message == "it is not valid JSON")
    let repeated = text.replacing(#""name":"#, with: #""name": "", "name":"#)
      .replacing(#""label":"#, with: #""label": "", "label":"#)
    #expect(try problem(repeated).message == "the same name is twice in an object")
  }

  @Test(arguments: [
    (#""db": "AAAA", "header": {"slots": [{}], "params": {}}, "version": 1"#, "in Aegis, "),
    (#""db": "AAAA", "header": {"slots": null, "params": null}, "version": 1"#, "in Aegis, "),
    (#""services": [], "schemaVersion": 4, "servicesEncrypted": "AA:BB:CC", "reference": "DD""#, "in 2FAS, "),
    (#""services": [], "schemaVersion": 2, "servicesEncrypted": "AA:BB:CC""#, "in 2FAS, "),
    (#""encrypted": true, "passwordProtected": true, "salt": "AA", "data": "BB""#, "in Bitwarden, "),
    (#""encrypted": true, "encKeyValidation_DO_NOT_EDIT": "AA", "items": [], "folders": []"#, "in Bitwarden, "),
  ])
  func anEncryptedExportIsRefusedWithTheWayToAPlainOne(members: String, way: String) throws {
    let problem = try problem("{\(members)}")
    #expect(problem.message == "it is encrypted")
    #expect(problem.hint?.contains(way) == true)
  }

  /// Backups that are no text begin with a number of PBKDF2 iterations, or with the magic number of Java.
  @Test func anEncryptedBackupThatIsNoTextIsRecognized() throws {
    let backup = [0x00, 0x02, 0x39, 0x70] + [UInt8](repeating: 0x9d, count: 60)
    #expect(KeyFileFormat(of: backup.span) == .andOTP)
    let java = [0xac, 0xed, 0x00, 0x05] + Array("sr".utf8)
    #expect(KeyFileFormat(of: java.span) == .freeOTP)
    let reading = KeyFileReading(now: 0)
    #expect(throws: FormatProblem.encryptedExport(#"in andOTP, Backup, "Backup type: Plain-text", "Create backup""#)) {
      try KeyFileFormat.andOTP.entries(of: backup.span, reading)
    }
    #expect(throws: FormatProblem.self) { try KeyFileFormat.freeOTP.entries(of: java.span, reading) }
    #expect(try problem("-----BEGIN PGP MESSAGE-----\n\nAAAA\n").message == "it is encrypted")
    #expect(try problem("anything", .andOTP).message == "it is encrypted")
    #expect(
      try problem("<map><string name=\"a\">{&quot;issuerExt&quot;:1}</string></map>").message == "it is not an export")
  }

  @Test func aBitwardenExportInCSVIsRead() throws {
    let quoted = #""second ""login"" item""#
    let text = """
      folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp
      ,,note,a note,"two
      lines",,0,,,,
      ,1,login,server,,,0,"https://a,https://b",alice,"pass,word",otpauth://totp/x?secret=\(Self.sha1Key)&digits=8
      ,,login,\(quoted),,,0,,bob,,\(Self.sha1Key.lowercased())
      ,,login,third,,,0,,,,steam://\(Self.sha1Key)
      """
    #expect(KeyFileFormat(of: text.utf8.span) == .bitwarden)
    let entries = try entries(text)
    #expect(entries.map(\.issuer) == ["server", #"second "login" item"#, "third"])
    #expect(try entries.dropLast().map(code) == ["07081804", "081804"])
    guard case .failure(let problem) = entries[2].device else { throw Missing(what: "problem") }
    #expect(problem == .steam)
    #expect(try self.problem("name,login_totp_\n", .bitwarden).message == "it has no column login_totp")
  }

  private static func aegis(_ members: String) -> String {
    #"{"version": 1, "header": {}, "db": {"version": 2, "entries": [{\#(members)}]}}"#
  }

  @Test(arguments: [
    (
      #""type": "steam", "info": {"secret": "KEY", "algo": "SHA1", "digits": 5, "period": 30}"#,
      "Steam codes are not supported"
    ),
    (
      #""type": "motp", "info": {"secret": "KEY", "algo": "MD5", "digits": 6, "pin": "1234"}"#,
      "codes of Mobile-OTP (mOTP), which depend on a PIN, are not supported"
    ),
    (
      #""type": "yandex", "info": {"secret": "KEY", "pin": "1234"}"#,
      "codes of Yandex Key, which depend on its PIN, are not supported"
    ),
    (#""type": "other", "info": {}"#, "the type of the codes must be TOTP or HOTP"),
    (#""info": {}"#, "the type of the codes must be TOTP or HOTP"),
    (#""type": "totp""#, "the field info is missing"),
    (#""type": "totp", "info": {"secret": "KEY", "digits": 6, "period": 30}"#, "the field algo is missing"),
    (#""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "period": 30}"#, "the field digits is missing"),
    (#""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6}"#, "the field period is missing"),
    (#""type": "hotp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6}"#, "the field counter is missing"),
    (#""type": "totp", "info": {"algo": "SHA1", "digits": 6, "period": 30}"#, "it has no key"),
    (#""type": "totp", "info": {"secret": 1, "algo": "SHA1", "digits": 6, "period": 30}"#, "it has no key"),
    (#""type": "totp", "info": {"secret": "01", "algo": "SHA1", "digits": 6, "period": 30}"#, "the key is not Base32"),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "MD5", "digits": 6, "period": 30}"#,
      "the algorithm MD5 is not supported, only SHA1, SHA256 and SHA512"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA3", "digits": 6, "period": 30}"#,
      "the algorithm must be SHA1, SHA256 or SHA512"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": 1, "digits": 6, "period": 30}"#,
      "the algorithm must be SHA1, SHA256 or SHA512"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 7, "period": 30}"#,
      "seven-digit codes are not supported, only six and eight digits"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 10, "period": 30}"#,
      "the number of digits must be 6 or 8"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": "6", "period": 30}"#,
      "the field digits is not a whole number"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "period": 10}"#,
      "the period must be 15 to 300 seconds"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "period": 30.5}"#,
      "the field period is not a whole number"
    ),
    (
      #""type": "hotp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "counter": -1}"#,
      "the counter is out of range"
    ),
    (
      #""type": "hotp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "counter": 1e3}"#,
      "the field counter is not a whole number"
    ),
    (
      #""type": "totp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "period": 30, "pin": "1"}"#,
      "codes with a PIN are not supported"
    ),
    (
      #""type": "hotp", "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "counter": 9223372036854775808}"#,
      "it contains a number that is out of range"
    ),
  ])
  func membersThatChangeCodesAreRefusedByName(members: String, message: String) throws {
    let text = Self.aegis(members.replacing("KEY", with: Self.sha1Key))
    #expect(try problem(text).message == message)
  }

  @Test(arguments: [
    (#"{"version": 2, "header": {}, "db": {"version": 3, "entries": []}}"#, "this version of the vault is unknown"),
    (#"{"version": 1, "header": {}, "db": {"version": 4, "entries": []}}"#, "this version of the vault is unknown"),
    (#"{"version": 1, "header": {}, "db": {"version": 3}}"#, "it contains no accounts"),
    (#"{"version": 1, "header": {}, "db": {"version": 3, "entries": []}}"#, "it contains no accounts"),
    (#"{"services": [], "schemaVersion": 4}"#, "it contains no accounts"),
    (#"{"tokens": [null], "issuerExt": ""}"#, "it contains no accounts"),
    (#"{"encrypted": false, "items": {}}"#, "it contains no items"),
    (#"{"services": [{}], "schemaVersion": 5}"#, "this version of the backup is unknown"),
    (#"{"services": [{"secret": "KEY"}], "schemaVersion": 4}"#, "the field otp is missing"),
    (
      #"{"services": [{"secret": "KEY", "otp": {"tokenType": "STEAM"}}], "schemaVersion": 4}"#,
      "Steam codes are not supported"
    ),
    (
      #"[{"secret": "KEY", "label": "a", "type": "MOTP"}]"#,
      "codes of Mobile-OTP (mOTP), which depend on a PIN, are not supported"
    ),
    (
      #"[{"secret": "KEY", "label": "a", "type": "TOTP", "encoder": "steam"}]"#,
      "the field encoder may change the codes, and is unknown"
    ),
    (
      #"{"services": [{"secret": "KEY", "otp": {"timeOffset": 5}}], "schemaVersion": 4}"#,
      "the field timeoffset may change the codes, and is unknown"
    ),
    (#"[{"secret": "KEY", "label": "a", "type": 1}]"#, "the type of the codes must be TOTP or HOTP"),
    (#"[{"secret": "KEY", "label": "a", "type": "HOTP"}]"#, "the field counter is missing"),
    (#"{"tokens": [{"issuerExt": "Steam", "secret": [1], "type": "TOTP"}]}"#, "Steam codes are not supported"),
    (
      #"{"tokens": [{"issuerExt": "a", "secret": [1], "counter": -1, "type": "HOTP"}]}"#,
      "the counter is below 0 until the first code"
    ),
    (#"{"tokens": [{"issuerExt": "a", "secret": [128], "type": "TOTP"}]}"#, "the key is not a list of bytes"),
    (#"{"tokens": [{"issuerExt": "a", "type": "TOTP"}]}"#, "it has no key"),
    (
      #"{"encrypted": false, "items": [{"login": {"totp": "steam://KEY"}}]}"#, "Steam codes are not supported"
    ),
    (
      #"{"encrypted": false, "items": [{"login": {"totp": "otpauth://hotp/a?secret=KEY&counter=1"}}]}"#,
      "the codes are counter-based, but Bitwarden shows time-based ones"
    ),
    (#"{"encrypted": false, "items": [{"login": {"totp": 1}}]}"#, "the field totp is not a text"),
    (#"{"encrypted": false, "items": [{"login": {}}]}"#, "none of its items has an authenticator key"),
  ])
  func anAccountThatCannotBeUsedIsRefused(text: String, message: String) throws {
    #expect(try problem(text.replacing("KEY", with: Self.sha1Key)).message == message)
  }

  @Test func anUnusableAccountDoesNotAffectTheOthers() throws {
    let text = Self.aegis.replacing(#""algo": "SHA256""#, with: #""algo": "SHA224""#)
    let entries = try entries(text)
    #expect(entries.map(\.issuer) == ["server", nil, "server", "server"])
    let usable = entries.map { entry in if case .success = entry.device { true } else { false } }
    #expect(usable == [true, false, true, true])
  }

  @Test func aNameThatNoURICanContainIsShownButNotKept() throws {
    let members = #"""
      "type": "totp", "name": " a:b\u001b ", "issuer": "\u0000",
      "info": {"secret": "KEY", "algo": "SHA1", "digits": 6, "period": 30}
      """#
    let text = Self.aegis(members.replacing("KEY", with: Self.sha1Key))
    #expect(try problem(text).message == "it is not valid JSON")
    let entry = try #require(entries(text.replacing(#"\u0000"#, with: String(repeating: "i", count: 200))).first)
    #expect(entry.account == "a:b\u{1b}" && entry.issuer?.count == 128)
    let device = try entry.device.get()
    #expect(device.account == nil && device.issuer?.utf8.count == 128)
  }

  @Test(arguments: [
    "{}", "[]", "", #"{"entries": [{"content": {"uri": "x"}}], "version": 1}"#, #"{"Authenticators": []}"#,
    #"[{"issuer": "a", "account": "b", "secret": "KEY", "kind": "TOTP"}]"#,
  ])
  func otherJSONIsNotRecognized(text: String) { #expect(KeyFileFormat(of: text.utf8.span) == nil) }

  @Test func deepLevelsAreRefused() throws {
    let text = #"{"db": {"version": 1, "a": "# + String(repeating: "[", count: 100_000)
    #expect(try problem(text + #""header""#).message == "it has too many levels")
  }
}
