import Enrollment
import Glibc
import KeyFormats
import OneTimePassword
import Testing

@Suite struct OATHUsersFileTests {
  private static let hexadecimal = "3132333435363738393031323334353637383930"

  private func token(_ line: String) throws -> OATHToken {
    let tokens = try OATHUsersFile(parsing: line.utf8.span).tokens(of: "alice")
    #expect(tokens.count == 1)
    return try #require(tokens.first)
  }

  private func problem(_ text: String) -> String? {
    do {
      _ = try OATHUsersFile(parsing: text.utf8.span).tokens(of: "alice")
      return nil
    } catch {
      return error.text
    }
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
    #expect(token.kind == kind && token.digits == digits && token.lastCode == nil && token.lastUsedAt == nil)
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
    #expect(file.users == ["bob", "alice"])
    #expect(file.entries.map(\.line) == [4, 5, 6])
    #expect(try file.tokens(of: "alice").map(\.kind) == [.totp(period: 30), .hotp(counter: 9)])
    #expect(try file.tokens(of: "carol").isEmpty)
    #expect(throws: FormatProblem.self) { try file.tokens(of: "bob") }
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
    ("HOTP alice - KEY\nHOTP/T30 alice - KEY", "line 2: another line of this user has the same key"),
  ])
  func invalidLinesAreRejectedWithTheirLine(text: String, words: String) {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: Self.hexadecimal)
    #expect(problem(text) == (words.hasPrefix("line ") ? words : "line 1: " + words))
  }

  /// "é" as one code point and as two: two accounts in the user database.
  @Test func namesAreComparedByBytes() throws {
    let names = ["jos\u{E9}", "jose\u{301}"]
    let keys = [Self.hexadecimal, String(Self.hexadecimal.reversed())]
    let file = OATHUsersFile(parsing: zip(names, keys).map { "HOTP \($0) - \($1)\n" }.joined().utf8.span)
    #expect(file.users.map { Array($0.utf8) } == names.map { Array($0.utf8) })
    for name in names { #expect(try file.tokens(of: name).count == 1) }
  }

  @Test func theLastCodeOfACounterCountsAsUsed() throws {
    let now: Int64 = 1_700_000_000
    // pam_oath notes the counter of the code itself; look-ahead may have moved it.
    for (noted, used, next) in [(7, 7, 8), (0, 0, 1), (7, 12, 13)] as [(UInt64, UInt64, UInt64)] {
      let line = "HOTP alice - \(Self.hexadecimal) \(noted) \(try code(used)) \(local(now - 100))"
      let device = try token(line).device(now: now)
      #expect(device.kind == .hotp(counter: next) && device.lastUsedAt == now - 100)
    }
    #expect(try token("HOTP alice - \(Self.hexadecimal) 7").device(now: now).kind == .hotp(counter: 7))
    #expect(try token("HOTP alice - \(Self.hexadecimal) 7 -").device(now: now).kind == .hotp(counter: 7))
  }

  @Test(arguments: [-3, -1, 0, 1, 4] as [Int64])
  func theLastCodeOfAClockAndAllBeforeCountAsUsed(steps: Int64) throws {
    let now: Int64 = 1_700_000_000
    let used = UInt64(now / 30 + steps)
    // The time is when it was typed, and the code was early or late then.
    for zone in [0, 3600, -7200] as [Int64] {
      let line = "HOTP/T30 alice - \(Self.hexadecimal) 0 \(try code(used)) \(local(now + zone))"
      #expect(try token(line).device(now: now).nextStep == used + 1)
    }
    #expect(try token("HOTP/T30 alice - \(Self.hexadecimal) 0 \(code(used))").device(now: now).nextStep == used + 1)
  }

  @Test func anOldLastCodeDoesNotDelayTheNext() throws {
    let now: Int64 = 1_700_000_000
    let used = UInt64(now / 60 - 5000)
    let line = "HOTP/T60/8 alice - \(Self.hexadecimal) 0 \(try code(used, .eight)) \(local(now - 300_000))"
    let device = try token(line).device(now: now)
    #expect(device.nextStep == used + 1 && device.lastUsedAt == now - 300_000)
  }

  @Test func theLastCodeDecidesTheNumberOfDigits() throws {
    let token = try token("HOTP/T30 alice - \(Self.hexadecimal) 0 \(code(1, .eight)) 2026-01-31T12:00:00L")
    #expect(token.digits == .eight)
  }
}
