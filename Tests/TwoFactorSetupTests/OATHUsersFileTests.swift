import Enrollment
import Glibc
import KeyFormats
import OneTimePassword
import Testing

@Suite struct OATHUsersFileTests {
  private static let hexadecimal = "3132333435363738393031323334353637383930"

  private func token(_ line: String) throws -> OATHToken {
    let entries = OATHUsersFile(parsing: line.utf8.span).entries
    #expect(entries.count == 1)
    return try #require(entries.first).token.get()
  }

  private func device(_ line: String, now: Int64, digits: CodeDigits? = nil) throws -> DeviceDraft {
    try token(line).device(reading(now: now, digits))
  }

  private func reading(now: Int64 = 1_700_000_000, _ digits: CodeDigits?) -> KeyFileReading {
    var reading = KeyFileReading(now: now)
    reading.digits = digits
    return reading
  }

  private func entry(_ line: String, digits: CodeDigits?) throws -> KeyEntry {
    try #require(KeyFileFormat.oath.entries(of: line.utf8.span, reading(digits)).first)
  }

  private func problem(_ text: String) throws -> String? {
    let entry = try entry(text, digits: nil)
    if case .failure(let problem) = entry.device { return problem.text }
    return nil
  }

  /// The code of the key of RFC 4226 at a moving factor.
  private func code(_ factor: UInt64, _ digits: CodeDigits = .six) throws -> String {
    guard let secret = SharedSecret("12345678901234567890".utf8.span, algorithm: .sha1),
      let code = secret.code(at: factor, digits: digits)
    else { throw Missing(what: "memory") }
    let number = String(code)
    return String(repeating: "0", count: Int(digits.rawValue) - number.count) + number
  }

  private func local(_ seconds: Int64) -> String {
    var time = unsafe tm()
    var moment = time_t(seconds)
    unsafe localtime_r(&moment, &time)
    let parts = unsafe [time.tm_mon + 1, time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec].map {
      $0 < 10 ? "0\($0)" : "\($0)"
    }
    return unsafe "\(time.tm_year + 1900)-\(parts[0])-\(parts[1])T\(parts[2]):\(parts[3]):\(parts[4])L"
  }

  @Test(arguments: [
    ("HOTP", Device.Kind.hotp(counter: 0), CodeDigits.six), ("HOTP/E", .hotp(counter: 0), .six),
    ("HOTP/E/6", .hotp(counter: 0), .six), ("HOTP/E/8", .hotp(counter: 0), .eight),
    ("HOTP/T30", .totp(period: 30), .six), ("HOTP/T30/6", .totp(period: 30), .six),
    ("HOTP/T30/8", .totp(period: 30), .eight), ("HOTP/T60", .totp(period: 60), .six),
    ("HOTP/T60/6", .totp(period: 60), .six), ("HOTP/T60/8", .totp(period: 60), .eight),
  ])
  func everyTypeIsParsed(type: String, kind: Device.Kind, digits: CodeDigits) throws {
    let token = try token("\(type) alice - \(Self.hexadecimal)\n")
    #expect(try token.kind == kind && token.digits(nil) == digits && token.lastCode == nil && token.lastUsedAt == nil)
    #expect(token.key.base32 == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
  }

  @Test func otherUsersAndCommentsDoNotMatter() throws {
    let text = """
      # HOTP alice - 00
      anything goes
      HOTP
      HOTP/T30 bob password nonsense
      \tHOTP/T30  alice\t+  \(Self.hexadecimal) \r
      HOTP alice - 3132333435363738393031323334353637383931 9
      """
    let file = OATHUsersFile(parsing: text.utf8.span)
    #expect(file.entries.map(\.user) == ["bob", "alice", "alice"])
    #expect(file.entries.map(\.line) == [4, 5, 6])
    #expect(try file.entries[1...].map { try $0.token.get().kind } == [.totp(period: 30), .hotp(counter: 9)])
    #expect(throws: FormatProblem.self) { try file.entries[0].token.get() }
  }

  @Test(arguments: [
    ("HOTP alice -", "the line is truncated; expected TYPE USER PASSWORD KEY"),
    ("HOTP alice", "the line is truncated; expected TYPE USER PASSWORD KEY"),
    ("HOTP/T45 alice - KEY", "unknown token type"),
    ("HOTP/ alice - KEY", "unknown token type"),
    ("HOTP/T30/9 alice - KEY", "the number of digits in the token type must be 6 or 8"),
    ("HOTP/T30/6/6 alice - KEY", "unexpected text after the number of digits in the token type"),
    ("HOTP/E/7 alice - KEY", "seven-digit codes are not supported, only six and eight digits"),
    ("HOTP alice - KEY 0 1234567", "seven-digit codes are not supported, only six and eight digits"),
    ("HOTP alice pw KEY", "tokens with a password of their own are not supported"),
    ("HOTP alice - 3132x", "the key is not hexadecimal"),
    ("HOTP alice - 313", "the key has an odd number of hexadecimal digits"),
    ("HOTP alice - 31323334", "the key has 4 bytes, which is too short to be safe; the minimum is 10"),
    ("HOTP alice - KEY -1", "the counter is out of range"),
    ("HOTP alice - KEY 18446744073709551614", "the counter is out of range"),
    ("HOTP alice - KEY 0 12345x", "the last code must have six or eight digits"),
    ("HOTP alice - KEY 0 123456 yesterday", "the time of the last code must have the form 2026-01-31T12:00:00L"),
    (
      "HOTP alice - KEY 0 123456 2026-01-31T12:00:00Z",
      "the time of the last code must have the form 2026-01-31T12:00:00L"
    ),
  ])
  func invalidLinesAreRejectedWithTheirLine(text: String, words: String) throws {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: Self.hexadecimal)
    #expect(try problem(text) == "line 1: " + words)
  }

  /// "é" as one code point and as two: two accounts in the user database.
  @Test func namesAreComparedByBytes() throws {
    let names = ["jos\u{E9}", "jose\u{301}"]
    let keys = [Self.hexadecimal, String(Self.hexadecimal.reversed())]
    let file = OATHUsersFile(parsing: zip(names, keys).map { "HOTP \($0) - \($1)\n" }.joined().utf8.span)
    #expect(file.entries.map { Array($0.user.utf8) } == names.map { Array($0.utf8) })
  }

  @Test func theLastCodeOfACounterCountsAsUsed() throws {
    let now: Int64 = 1_700_000_000
    // pam_oath notes the counter of the code itself; look-ahead may have moved it.
    for (noted, used, next) in [(7, 7, 8), (0, 0, 1), (7, 12, 13)] as [(UInt64, UInt64, UInt64)] {
      let line = "HOTP alice - \(Self.hexadecimal) \(noted) \(try code(used)) \(local(now - 100))"
      let device = try device(line, now: now)
      #expect(device.kind == .hotp(counter: next) && device.lastUsedAt == now - 100)
    }
    #expect(try device("HOTP alice - \(Self.hexadecimal) 7", now: now).kind == .hotp(counter: 7))
    #expect(try device("HOTP alice - \(Self.hexadecimal) 7 -", now: now).kind == .hotp(counter: 7))
  }

  @Test(arguments: [-3, -1, 0, 1, 4] as [Int64])
  func theLastCodeOfAClockAndAllBeforeCountAsUsed(steps: Int64) throws {
    let now: Int64 = 1_700_000_000
    let used = UInt64(now / 30 + steps)
    // The time is when it was typed, and the code was early or late then.
    for zone in [0, 3600, -7200] as [Int64] {
      let line = "HOTP/T30 alice - \(Self.hexadecimal) 0 \(try code(used)) \(local(now + zone))"
      #expect(try device(line, now: now).nextStep == used + 1)
    }
    #expect(try device("HOTP/T30 alice - \(Self.hexadecimal) 0 \(code(used))", now: now).nextStep == used + 1)
  }

  @Test func anOldLastCodeDoesNotDelayTheNext() throws {
    let now: Int64 = 1_700_000_000
    let used = UInt64(now / 60 - 5000)
    let line = "HOTP/T60/8 alice - \(Self.hexadecimal) 0 \(try code(used, .eight)) \(local(now - 300_000))"
    let device = try device(line, now: now)
    #expect(device.nextStep == used + 1 && device.lastUsedAt == now - 300_000)
  }

  /// pam_oath takes the length from the reply, or its option digits=, and ignores the number in the type.
  @Test(
    arguments: [
      ("HOTP/T30", nil, nil, CodeDigits.six, "assumed"), ("HOTP/T30", .eight, nil, .eight, nil),
      ("HOTP/T30", .six, nil, .six, nil), ("HOTP/T30/8", nil, nil, .eight, nil),
      ("HOTP/T30/6", .eight, nil, .eight, "--digits 8 overrides the type, as digits=8 of pam_oath does"),
      ("HOTP/T30/7", .eight, nil, .eight, "overrides the type"), ("HOTP/T30", nil, .eight, .eight, nil),
      ("HOTP/T30/6", nil, .eight, .eight, nil), ("HOTP", .eight, .eight, .eight, nil),
      ("HOTP/E/8", .eight, .six, .six, "The last used code has 6 digits, so --digits 8 is ignored"),
    ] as [(String, CodeDigits?, CodeDigits?, CodeDigits, String?)])
  func theLastCodeDecidesTheLengthThenTheOptionThenTheType(
    type: String, chosen: CodeDigits?, last: CodeDigits?, digits: CodeDigits, remark: String?
  ) throws {
    let code = try last.map { " 0 \(try self.code(1, $0)) 2026-01-31T12:00:00L" } ?? ""
    let entry = try entry("\(type) alice - \(Self.hexadecimal)\(code)", digits: chosen)
    #expect(try entry.device.get().digits == digits && entry.account == "alice")
    #expect(entry.remarks.count == (remark == nil ? 0 : 1) && entry.remarks.allSatisfy { $0.contains(remark ?? "") })
  }
}
