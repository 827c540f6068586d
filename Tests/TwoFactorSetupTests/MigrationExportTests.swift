import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword
import Testing

/// Encodes messages without the parser's code.
private struct Message {
  var bytes: [UInt8] = []

  static func integer(_ value: UInt64) -> [UInt8] {
    value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + integer(value >> 7)
  }

  func with(_ number: UInt64, _ value: UInt64) -> Message {
    Message(bytes: bytes + Self.integer(number << 3) + Self.integer(value))
  }

  func with(_ number: UInt64, _ value: [UInt8]) -> Message {
    Message(bytes: bytes + Self.integer(number << 3 | 2) + Self.integer(UInt64(value.count)) + value)
  }

  var hexadecimal: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// The key of RFC 4226 and RFC 6238.
private let key = Array("12345678901234567890".utf8)

@Suite struct MigrationExportTests {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private func base64(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let part = Array(bytes[start..<min(start + 3, bytes.count)])
      let bits = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
      text += (0...part.count).map { Self.digits[bits >> (18 - 6 * $0) & 63] }
      text += Array(repeating: UInt8(ascii: "="), count: 3 - part.count)
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func entries(_ text: String) throws -> [KeyEntry] {
    try OTPAuthURI.entries(of: text.utf8.span)
  }

  private func entries(_ message: Message) throws -> [KeyEntry] {
    let encoded = base64(message.bytes).utf8.map { byte in
      switch byte {
      case UInt8(ascii: "+"): "%2B"
      case UInt8(ascii: "/"): "%2F"
      case UInt8(ascii: "="): "%3D"
      default: String(UnicodeScalar(byte))
      }
    }
    return try entries("otpauth-migration://offline?data=" + encoded.joined())
  }

  private func problem(_ message: Message) -> String? {
    do {
      _ = try entries(message)[0].device.get()
      return nil
    } catch {
      return (error as? FormatProblem)?.message
    }
  }

  private func account(type: UInt64 = 2) -> Message { Message().with(1, key).with(6, type) }

  @Test func theExampleIsRead() throws {
    let entry = try entries(
      "otpauth-migration://offline?data=CjIKFDEyMzQ1Njc4OTAxMjM0NTY3ODkwEgxzZXJ2ZXI6YWxpY2UaBnNlcnZlciABKAEwAhABGAEgACi5YA%3D%3D"
    )[0]
    let device = try entry.device.get()
    #expect(device.key.base32 == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" && device.kind == .totp(period: 30))
    #expect(device.algorithm == .sha1 && device.digits == .six)
    #expect(entry.issuer == "server" && entry.account == "alice" && entry.remarks == [])
    // RFC 6238 appendix B, of which six digits.
    #expect(device.key.sharedSecret(.sha1)?.code(at: 59 / 30, digits: device.digits) == 287_082)
  }

  @Test(arguments: [
    (0 as UInt64, HashAlgorithm.sha1), (1, .sha1), (2, .sha256), (3, .sha512),
  ])
  func everySupportedAccountIsRead(number: UInt64, algorithm: HashAlgorithm) throws {
    for (digits, expected) in [(0 as UInt64, CodeDigits.six), (1, .six), (2, .eight)] {
      let hotp = account(type: 1).with(4, number).with(5, digits).with(7, 300).with(2, Array("Big Corp: al".utf8))
      let totp = account().with(3, Array("Söhne".utf8)).with(2, [0xFC]).with(8, [1, 2]).with(4, number).with(5, digits)
      let devices = try entries(Message().with(1, hotp.bytes).with(2, 1).with(1, totp.bytes)).map {
        try $0.device.get()
      }
      #expect(devices.map(\.kind) == [.hotp(counter: 300), .totp(period: 30)])
      #expect(devices.allSatisfy { $0.algorithm == algorithm && $0.digits == expected })
      #expect(devices.map(\.issuer) == ["Big Corp", "Söhne"] && devices.map(\.account) == ["al", "ü"])
    }
  }

  @Test func everyWritingOfBase64IsRead() throws {
    let message = Message().with(1, account().with(2, [0x3F, 0x3E, 0x3F, 0x3F, 0xFB, 0xEF, 0xFE]).bytes)
    let text = base64(message.bytes)
    #expect(text.contains("+") && text.contains("/") && text.contains("="))
    let plain = String(text.prefix { $0 != "=" })
    let safe = String(plain.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    let blank = String(text.map { $0 == "+" ? " " : $0 })
    for data in [text, plain, safe, blank, "\(plain)&more=1", "\(plain)%3d"]
    where data != "\(plain)%3d" || text.last == "=" {
      let found = try entries("OTPAUTH-MIGRATION://offline?data=\(data)\nx")
      #expect(try found.map { try $0.device.get().key.base32 } == ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"])
    }
  }

  @Test(arguments: [
    ("20042800", "the algorithm MD5 is not supported, only SHA1, SHA256 and SHA512"),
    ("2005", "the number of the algorithm in the export is unknown"),
    ("2803", "the number for the digits in the export is unknown"),
    ("2806", "the number for the digits in the export is unknown"),
    ("3003", "the number of the type in the export is unknown"),
    ("3000", "the export does not contain the type of the codes"),
    ("300138ffffffffffffffffff01", "the counter is out of range"), ("0a00", "the key is empty"),
    ("0a03313233", "the key has 3 bytes, which is too short to be safe; the minimum is 10"),
  ])
  func unusableFieldsAreRejected(fields: String, words: String) throws {
    var bytes = account().bytes
    for pair in stride(from: 0, to: fields.utf8.count, by: 2) {
      let digits = Array(fields)[pair...pair + 1]
      bytes.append(try #require(UInt8(String(digits), radix: 16)))
    }
    #expect(problem(Message().with(1, bytes)) == words)
    // The other account is usable.
    let both = try entries(Message().with(1, bytes).with(1, account().bytes))
    #expect(both.map { (try? $0.device.get()) != nil } == [false, true])
  }

  @Test func aKeyThatIsTooLongOrMissingIsRejected() {
    let long = Message().with(1, Message().with(1, Array(repeating: 1, count: 129)).with(6, 2).bytes)
    #expect(problem(long) == "the key is longer than 128 bytes")
    #expect(problem(Message().with(1, Message().with(6, 2).bytes)) == "the account has no key")
  }

  @Test func everyTruncationIsRejected() throws {
    let whole = Message().with(1, account().bytes).bytes
    for count in 1..<whole.count {
      #expect(problem(Message(bytes: Array(whole.prefix(count)))) == "the data of the export is truncated or malformed")
    }
    for bytes: [UInt8] in [
      [0], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], [0x0B], [0x0C], [0x08, 1], [0x1A, 0],
      [0x09, 1],
      [0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    ] {
      #expect(problem(Message(bytes: bytes)) == "the data of the export is truncated or malformed", "\(bytes)")
    }
  }

  @Test func unknownFieldsAreSkipped() throws {
    var message = Message().with(1, account().with(9, [1]).with(100, 1).bytes).with(9, 7).with(10, [1, 2, 3])
    message.bytes += [0x5D, 1, 2, 3, 4, 0x61, 1, 2, 3, 4, 5, 6, 7, 8]
    let entry = try entries(message)[0]
    #expect(try entry.device.get().kind == .totp(period: 30))
    #expect(entry.remarks == ["Field 9, 100 of the export: unknown, ignored"])
  }

  @Test(arguments: [
    "otpauth-migration://offline", "otpauth-migration://online?data=Cg", "otpauth-migration://offline?x=1",
  ])
  func aURIWithoutDataIsRejected(text: String) throws {
    let problem = FormatProblem(line: 1, "the URI must begin with otpauth-migration://offline?data=")
    #expect(throws: problem) { try entries(text)[0].device.get() }
    #expect(throws: FormatProblem(line: 1, "the data of the export is not Base64")) {
      try entries("otpauth-migration://offline?data=C*")[0].device.get()
    }
  }

  @Test func missingQRCodesAreNamed() throws {
    func text(_ index: UInt64, of size: UInt64, batch: UInt64, _ name: String) -> String {
      let message = Message().with(1, account().with(2, Array(name.utf8)).bytes).with(3, size).with(4, index)
      return "otpauth-migration://offline?data=\(base64(message.with(5, batch).bytes))\n"
    }
    let whole = try entries(text(1, of: 2, batch: 7, "b") + text(0, of: 2, batch: 7, "a"))
    #expect(whole.map(\.account) == ["b", "a"] && whole.allSatisfy(\.remarks.isEmpty) && whole.map(\.line) == [1, 2])
    let mixed = try entries(text(2, of: 3, batch: 7, "a") + text(0, of: 1, batch: 8, "b") + "otpauth://totp/c?secret=x")
    #expect(
      mixed.map(\.remarks) == [
        ["QR code 1 of 3 of the export is missing", "QR code 2 of 3 of the export is missing"], [], [],
      ])
    #expect(problem(account().with(3, 1001)) != nil)
    #expect(throws: FormatProblem(line: 1, "the export contains wrong numbers of QR codes")) {
      try entries(text(3, of: 3, batch: 7, "a"))[0].device.get()
    }
    #expect(throws: FormatProblem("the export contains no accounts")) { try entries(Message().with(2, 1)) }
  }
}
