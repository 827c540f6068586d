import Enrollment
import KeyFormats
import OneTimePassword
import Testing

@Suite struct SeedFileTests {
  private static let hexadecimal = "3132333435363738393031323334353637383930"
  private static let base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
  private static let base64 = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="

  private func entries(_ text: String, _ set: (inout KeyFileReading) -> Void = { _ in }) throws -> [KeyEntry] {
    var reading = KeyFileReading(now: 1_700_000_000)
    set(&reading)
    return try KeyFileFormat.csv.entries(of: text.utf8.span, reading)
  }

  /// HEX, B32 and B64 stand for the key of RFC 4226.
  private func text(_ text: String) -> String {
    var text = text
    for (word, key) in [("HEX", Self.hexadecimal), ("B32", Self.base32), ("B64", Self.base64)] {
      text = text.split(separator: word, omittingEmptySubsequences: false).joined(separator: key)
    }
    return text
  }

  private func problem(_ text: String, _ set: (inout KeyFileReading) -> Void = { _ in }) throws -> String? {
    do {
      for entry in try entries(self.text(text), set) { _ = try entry.device.get() }
      return nil
    } catch let problem as FormatProblem {
      return problem.text
    }
  }

  @Test(arguments: [
    // Microsoft Entra, Token2, Deepnet.
    (
      "upn,serial number,secret key,time interval,manufacturer,model\r\nalice,1234567,B32,60,Contoso,HardwareKey\r\n",
      "1234567", Device.Kind.totp(period: 60), HashAlgorithm.sha1, CodeDigits.six
    ),
    ("Serial;Seed (Hex);Hash;OTP length\n\"00 1\";HEX;SHA-256;8", "00 1", .totp(period: 30), .sha256, .eight),
    ("sep=;\nsn;key;type\n7;HEX;HOTP", "7", .hotp(counter: 0), .sha1, .six),
    (
      "# tokens\n\nserialNumber\tsecretKey\ttimeIntervalInSeconds\thashFunction\nT-1\tB32\t30\thmacsha1",
      "T-1", .totp(period: 30), .sha1, .six
    ),
    (
      "Token SN,OTP Type,Shared Secret,Moving Factor,Digits\nA1,OATH-HOTP,HEX,0042,6", "A1", .hotp(counter: 42), .sha1,
      .six
    ),
    ("serial,key,algorithm\n7,B64,TOTP-SHA512-8", "7", .totp(period: 30), .sha512, .eight),
    ("serial seed\n7   HEX", "7", .totp(period: 30), .sha1, .six),
    ("serial,token,secret\n7,C200,HEX", "7", .totp(period: 30), .sha1, .six),
    ("serial,secret,PIN,Drift\n7,HEX,,0", "7", .totp(period: 30), .sha1, .six),
    ("serial,base32\n7,\"GEZDGNBV GY3TQOJQ GEZDGNBV GY3TQOJQ\"", "7", .totp(period: 30), .sha1, .six),
  ])
  func headersOfVendorsAreRecognized(
    file: String, serial: String, kind: Device.Kind, algorithm: HashAlgorithm, digits: CodeDigits
  ) throws {
    let file = text(file)
    #expect(KeyFileFormat(of: file.utf8.span) == .csv)
    let entries = try entries(file) { if kind.period != nil { $0.isCounterBased = false } }
    #expect(entries.count == 1 && entries[0].serial == serial)
    let device = try entries[0].device.get()
    #expect(device.key.base32 == Self.base32 && device.kind == kind && device.algorithm == algorithm)
    #expect(device.digits == digits)
  }

  /// LinOTP, privacyIDEA, NetIQ and PingID: optional columns, without a header.
  @Test func columnsCanBeNamed() throws {
    let text = text(
      """
      Token001, HEX, hotp
      Token002, HEX, totp, 8
      Token003, HEX, totp, 6, 60
      Token004, HEX, ocra, OCRA-1:HOTP-SHA1-6:QN08
      Token005, HEX
      """)
    let entries = try entries(text) { $0.columns = [.serial, .key, .type, .digits, .period] }
    #expect(entries.map(\.line) == [1, 2, 3, 4, 5])
    let devices = try entries[..<3].map { try $0.device.get() }
    #expect(devices.map(\.kind) == [.hotp(counter: 0), .totp(period: 30), .totp(period: 60)])
    #expect(devices.map(\.digits) == [.six, .eight, .six])
    let problems = entries[3...].map { entry in
      if case .failure(let problem) = entry.device { problem.text } else { "" }
    }
    #expect(
      problems == [
        "line 4: OCRA tokens are not supported",
        "line 5: it does not say whether the token is time-based or counter-based",
      ])
    #expect(try problem("Token001, HEX, hotp", { _ in }) == "line 1: it has no header that names the columns")
    // A header is skipped.
    let named = try self.entries(self.text("who,secret key,what\n1,HEX,2")) {
      ($0.columns, $0.isCounterBased) = ([.account, .key, .other], true)
    }
    #expect(named.map(\.line) == [2] && named[0].account == "1")
  }

  @Test func missingPropertiesComeFromTheOptionsOrAreRemarkedOn() throws {
    let text = text("serial,key,type,digits,period,algorithm\n1,HEX,,,,\n2,HEX,totp,6,30,sha1")
    let entries = try entries(text) {
      ($0.isCounterBased, $0.digits, $0.period, $0.algorithm) = (false, .eight, 60, .sha512)
    }
    let devices = try entries.map { try $0.device.get() }
    #expect(devices.map(\.kind) == [.totp(period: 60), .totp(period: 30)])
    #expect(devices.map(\.digits) == [.eight, .six] && devices.map(\.algorithm) == [.sha512, .sha1])
    #expect(entries.allSatisfy { $0.remarks.isEmpty })

    let long = String(repeating: "0123456789abcdef", count: 4)
    let assumed = try self.entries("serial,key,type,color\n1.23E+12,\(long),totp,red")[0]
    #expect(
      assumed.remarks == [
        "A spreadsheet changed the serial number to 1.23E+12",
        "The key has 32 bytes, which is usual for SHA-256, but the file does not name it: SHA-1 is assumed "
          + "(--algorithm)",
        "Not in the file, so assumed: time steps of 30 seconds (--period), codes of 6 digits (--digits)",
        "color: unknown, ignored",
      ])
  }

  @Test(arguments: [
    ("serial,key,type\n1,HEX,mOTP", "line 2: unknown token type"),
    ("serial,key,hash\n1,HEX,MD5", "line 2: the algorithm must be SHA1, SHA256 or SHA512"),
    ("serial,key,type,algorithm\n1,HEX,totp,hotp", "line 2: type and algorithm contradict each other"),
    ("serial,key,type,digits\n1,HEX,totp,7", "line 2: seven-digit codes are not supported, only six and eight digits"),
    ("serial,key,type,digits\n1,HEX,totp-8,6", "line 2: type and number of digits contradict each other"),
    ("serial,key,type,period\n1,HEX,totp30,60", "line 2: type and time step contradict each other"),
    ("serial,key,type,mode\n1,HEX,totp,challenge", "line 2: the column mode may change the codes, and is unknown"),
    ("serial,key,type,code size\n1,HEX,totp,8", "line 2: the column code size may change the codes, and is unknown"),
    ("serial,key,interval\n1,HEX,10", "line 2: the period must be 15 to 300 seconds"),
    ("serial,key,interval\n1,HEX,1 minute", "line 2: the field period is not a number"),
    ("serial,key,counter\n1,HEX,18446744073709551615", "line 2: the counter is out of range"),
    (
      "serial,key,period,counter\n1,HEX,30,0",
      "line 2: it does not say whether the token is time-based or counter-based"
    ),
    ("serial,key,type\n1,,totp", "line 2: the key is empty"),
    ("serial,key,type\n1", "line 2: the key is empty"),
    ("serial,key,type\n1,XYZ!,totp", "line 2: the key is neither Base32 nor hexadecimal nor Base64"),
    ("serial,key,type\n1,3.13E+39,totp", "line 2: the key is neither Base32 nor hexadecimal nor Base64"),
    ("serial,key,type\n1,HEX,totp,8", "line 2: it has 4 fields, but there are 3 columns"),
    ("serial,key,type\n1,\"HEX\"x,totp", "line 2: a quoted field is followed by text"),
    ("serial,key,type\n1,\"HEX,totp", "line 2: a quoted field does not end"),
    ("serial,key,type,Token PIN\n1,HEX,totp,1234", "line 2: the column Token PIN may change the codes, and is unknown"),
    (
      "serial,key,type,time offset\n1,HEX,totp,3600",
      "line 2: the column time offset may change the codes, and is unknown"
    ),
    ("serial,key,secret,type\n1,HEX,HEX,totp", "its header names a key twice"),
    ("serial,key\n1,HEX", "it does not say whether the tokens are time-based or counter-based"),
    ("serial,key,type\n", "it contains no token"),
    ("", "it contains no token"),
    ("# none", "it contains no token"),
  ])
  func unusableLinesAreNamed(file: String, words: String) throws {
    #expect(try problem(file) == words)
  }

  @Test func oneUnusableLineDoesNotAffectTheOthers() throws {
    let entries = try entries(text("serial,key,type\n1,HEX,totp\n2,\"HEX,totp\n3,B32,hotp\n4,\"HEX\",\"hotp\"\n"))
    #expect(entries.map(\.line) == [2, 3, 4, 5] && entries.map(\.serial) == ["1", nil, "3", "4"])
    #expect(entries.map { (try? $0.device.get()) != nil } == [true, false, true, true])
  }

  /// The keys 12345678901234567890 and others, in encodings that a single line does not decide.
  @Test func theEncodingOfTheKeysIsDecidedOverAllLines() throws {
    // Valid as Base32 and as hexadecimal.
    let both = String(repeating: "A2B3C4D5", count: 4)
    // Valid as Base32 and as Base64.
    let mixed = "GEZDGNBVGY3TQOJQgezdgnbvgy3tqojq"
    func bytes(_ first: String, _ second: String) throws -> Int? {
      let entries = try entries("serial,key,type\n1,\(first),totp\n2,\(second),totp")
      return try? entries[0].device.get().key.withBytes { $0.count }
    }
    #expect(try bytes(both, Self.hexadecimal) == 16)
    #expect(try bytes(both, Self.base32) == 20)
    #expect(try bytes(mixed, Self.base32) == 20)
    #expect(try bytes(mixed, Self.base64) == 24)
    #expect(try bytes(both, both) == nil)
    #expect(try bytes(mixed, mixed) == nil)
    #expect(try bytes("hex:" + both, both) == 16)
    let lines = "serial,KEY,type\n1,\(both),totp"
    #expect(try problem(lines) == "line 2: the key is valid in two encodings")
    for (column, count) in [(CSVColumn.hexKey, 16), (.base32Key, 20)] {
      let entry = try entries(lines) { $0.columns = [.serial, column, .type] }[0]
      #expect(try entry.device.get().key.withBytes { $0.count } == count)
    }
    #expect(try entries("serial,hexkey,type\n1,\(both),totp")[0].device.get().key.withBytes { $0.count } == 16)
  }

  @Test func logsOfYubicosToolAreParsed() throws {
    let traditional = text(
      """
      LOGGING START,11.12.13 18:50
      OATH-HOTP,11.12.13 18:55,1,,,HEX,,,0,0,0,8,16,0,0,0,0,0
      OATH-HOTP,12/11/13, 6:55 PM,2,,,HEX,,,0,0,0,6,0,0,0,0,0,0
      OATH-HOTP,11.12.13 18:55,1,cccccccccccc,,HEX,,,0,0,0,6,0,0,0,0,0,0
      Yubico OTP,12/11/2013 11:10,1,vvgutbiedkvi,ab86c04de6a3,d26a7c0f85fdda28bd816e406342b214,,,0,0,0,0,0,0,0,0,0,0
      """)
    #expect(KeyFileFormat(of: traditional.utf8.span) == .csv)
    let entries = try entries(traditional)
    #expect(entries.map(\.line) == [2, 3, 4, 5])
    let devices = try entries[..<2].map { try $0.device.get() }
    #expect(devices.map(\.kind) == [.hotp(counter: 16), .hotp(counter: 0)] && devices.map(\.digits) == [.eight, .six])
    #expect(entries[2...].allSatisfy { (try? $0.device.get()) == nil })

    let yubico = text(
      "508326,,0,HEX,,2013-12-12T08:41:07,\n1382042,cccccccccccc,83cebdfb7b93,HEX,,2013-12-12T08:41:17,")
    let tokens = try self.entries(yubico)
    #expect(tokens.map(\.serial) == ["508326", "1382042"] && tokens[0].remarks.count == 1)
    #expect(try tokens[0].device.get().kind == .hotp(counter: 0))
    #expect((try? tokens[1].device.get()) == nil)
  }

  @Test func tooManyLinesAreRejected() throws {
    let words = "it contains more than 250000 tokens"
    #expect(try problem("serial,key,type\n" + String(repeating: "a\n", count: 250_001)) == words)
  }

  @Test func aKeyInTheHeaderIsNotShown() throws {
    let remarks = try entries(text("serial,key,B32,type\n1,HEX,x,totp"))[0].remarks
    #expect(remarks.contains("column 3: unknown, ignored"))
  }

  @Test func aMapAssignsTokensToAccounts() throws {
    let map = try AccountMap(parsing: "# desks\nSerial number;User\n00 1 ; alice\n\n\"b\"\"2\";bob\n7;\n".utf8.span)
    #expect(map.lines.map(\.serial) == ["00 1", "b\"2"] && map.lines.map(\.account) == ["alice", "bob"])
    #expect(map.lines.map(\.number) == [3, 5] && map.problems.map(\.text) == ["line 6: it must be SERIAL,ACCOUNT"])
    let swapped = try AccountMap(parsing: "account,serial,room\nalice,1,R2\n".utf8.span)
    #expect(swapped.lines.map(\.serial) == ["1"] && swapped.lines.map(\.account) == ["alice"])
    #expect(try AccountMap(parsing: "\u{FEFF}serial,account\n1,alice".utf8.span).lines.count == 1)
    #expect(try AccountMap(parsing: "1,alice,2".utf8.span).problems.count == 1)
    #expect(throws: FormatProblem.self) { try AccountMap(parsing: "\n# none\n".utf8.span) }
    #expect(AccountMap.comparable("Ab 01\t") == AccountMap.comparable("aB01"))
  }
}
