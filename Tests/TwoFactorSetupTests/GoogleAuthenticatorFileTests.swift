import Enrollment
import KeyFormats
import Testing
import Verification

@testable import TwoFactorSetup

@Suite struct GoogleAuthenticatorFileTests {
  private let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

  private func file(_ lines: String...) throws -> GoogleAuthenticatorFile {
    try GoogleAuthenticatorFile(parsing: ([key] + lines).joined(separator: "\n").utf8.span)
  }

  private func problem(_ text: String) -> String? {
    do {
      _ = try GoogleAuthenticatorFile(parsing: text.utf8.span)
      return nil
    } catch {
      return error.text
    }
  }

  @Test func allOptionsOfTheProgramAreParsed() throws {
    let file = try file(
      "\" RATE_LIMIT 3 30 1700000000 1700000003", "\" WINDOW_SIZE 17", "\" DISALLOW_REUSE 56666670 56666667",
      "\" TOTP_AUTH", "\" STEP_SIZE 60", "\" TIME_SKEW -2", "\" RESETTING_TIME_SKEW 56666666-3",
      "\" LAST0 192.0.2.1 1700000000",
      "12345678", "87654321", "")
    #expect(file.key.base32 == key)
    #expect(file.kind == .totp(period: 60))
    #expect(file.usedSteps == [56_666_670, 56_666_667])
    #expect(file.scratchCodes == ["12345678", "87654321"])
    #expect(file.windowSize == 17 && file.timeSkew == -2)
    #expect(file.rateLimit?.logins == 3 && file.rateLimit?.seconds == 30)
    #expect(file.otherOptions == ["RESETTING_TIME_SKEW", "LAST0"])
    let device = file.device(now: 4_000_000_000)
    // The used codes are of the phone's clock, which is two steps behind.
    #expect(device.nextStep == 56_666_671 && device.lastUsedAt == 56_666_672 * 60 && device.clockOffset == -2)
  }

  @Test func aCounterOverridesTheClock() throws {
    #expect(try file("\" HOTP_COUNTER 7", "\" TOTP_AUTH").kind == .hotp(counter: 7))
    #expect(try file("\" HOTP_COUNTER 0", "\" TOTP_AUTH").kind == .totp(period: 30))
    #expect(try file("\" HOTP_COUNTER 7", "\" DISALLOW_REUSE 99").device(now: 1).nextStep == 0)
  }

  @Test func allLineEndingsAreAccepted() throws {
    let text = "\(key)\r\n\" TOTP_AUTH\r\n\r\n\n12345678\r\n12345678"
    let file = try GoogleAuthenticatorFile(parsing: text.utf8.span)
    #expect(file.kind == .totp(period: 30) && file.scratchCodes == ["12345678"])
  }

  @Test func theFirstOfRepeatedOptionsCountsAndUsedCodesAccumulate() throws {
    let file = try file(
      "\" WINDOW_SIZE 5", "\" WINDOW_SIZE 9", "\" DISALLOW_REUSE 1", "\" DISALLOW_REUSE 2", "\" TOTP_AUTH")
    #expect(file.windowSize == 5 && file.usedSteps == [1, 2])
  }

  @Test(arguments: [
    ("", "it is empty"), ("\n\" TOTP_AUTH", "line 1: the key is empty"),
    ("\" TOTP_AUTH\n", "line 1: the key is not Base32"),
    ("short\n\" TOTP_AUTH", "line 1: the key has 3 bytes, which is too short to be safe; the minimum is 10"),
    ("KEY", "it contains neither TOTP_AUTH nor HOTP_COUNTER, so app codes are off"),
    ("KEY\n\" TOTP_AUTH\n\" STEP_SIZE 10", "a period of 10 seconds is not supported; the minimum is 15"),
    ("KEY\n\" TOTP_AUTH\n\" STEP_SIZE 61", "line 3: STEP_SIZE needs numbers from 1 to 60"),
    ("KEY\n\" STEP_SIZE\n\" TOTP_AUTH", "line 2: STEP_SIZE needs numbers from 1 to 60"),
    ("KEY\n\" WINDOW_SIZE 0", "line 2: WINDOW_SIZE needs numbers from 1 to 100"),
    ("KEY\n\" RATE_LIMIT 3", "line 2: RATE_LIMIT needs numbers from 1 to 3600"),
    ("KEY\n\" DISALLOW_REUSE 12 x", "line 2: DISALLOW_REUSE needs numbers from 0 to 4294967295"),
    (
      "KEY\n\" DISALLOW_REUSE 18446744073709551615",
      "line 2: DISALLOW_REUSE needs numbers from 0 to 4294967295"
    ),
    ("KEY\n\" HOTP_COUNTER many", "line 2: HOTP_COUNTER needs numbers from 0 to 9223372036854775807"),
    ("KEY\n\" TIME_SKEW -9223372036854775808", "line 2: TIME_SKEW needs a number from -3000 to 3000"),
    ("KEY\n\" TOTP_AUTH\n\" TIME_SKEW 3001", "line 3: TIME_SKEW needs a number from -3000 to 3000"),
    ("KEY\n\" DIGITS 7", "line 2: seven-digit codes are not supported, only six and eight digits"),
    ("KEY\n\" DIGITS 9", "line 2: DIGITS needs numbers from 6 to 8"),
    ("KEY\n\" DIGITS", "line 2: DIGITS needs numbers from 6 to 8"),
    ("KEY\n\" ALGORITHM sha-256", "line 2: ALGORITHM must be sha1, sha256 or sha512"),
    ("KEY\n\" ALGORITHM", "line 2: ALGORITHM must be sha1, sha256 or sha512"),
    ("KEY\n\" TOTP_DIGITS 8", "line 2: the option TOTP_DIGITS may change the codes, and is unknown"),
    ("KEY\n\" HASH_FUNCTION sha256", "line 2: the option HASH_FUNCTION may change the codes, and is unknown"),
    ("KEY\n\" TOTP_AUTH\n1234567", "line 3: it is neither an option nor a scratch code of eight digits"),
    ("KEY\n\" TOTP_AUTH\n02345678", "line 3: it is neither an option nor a scratch code of eight digits"),
    ("KEY\n\" TOTP_AUTH\n12345678 x", "line 3: it is neither an option nor a scratch code of eight digits"),
    ("KEY\n\" TOTP_AUTH\nKEY", "line 3: it is neither an option nor a scratch code of eight digits"),
    ("KEY\n\" TOTP_AUTH\0", "it contains a NUL byte"),
  ])
  func invalidFilesAreRejectedWithTheLine(text: String, words: String) {
    #expect(problem(text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: key)) == words)
  }

  @Test func settingsOfThePolicyAreListedWithTheirLine() throws {
    let limits = VerificationLimits()
    let clock = try file(
      "\" WINDOW_SIZE 17", "\" RATE_LIMIT 4 30", "\" TOTP_AUTH", "\" LAST3 ::1 1", "\" NEW_OPTION 1", "\"nonsense",
      "\" RESETTING_TIME_SKEW ")
    let remarks = clock.remarks(limits: limits)
    #expect(remarks.map(\.setting) == ["window = 8", "max_failures = 4", "grace_period = SECONDS", nil, nil])
    #expect(
      remarks[0].line == "WINDOW_SIZE 17 is decided by the host's policy; "
        + "the line for /etc/security/twofactor.conf: window = 8")
    #expect(remarks[0].lines.last == "    window = 8")
    #expect(remarks[3].lines == ["  NEW_OPTION: unknown, ignored."])
    #expect(remarks[4].text.contains("names no option"))
    #expect(remarks.flatMap(\.lines).allSatisfy { $0.count <= 80 })

    let counter = try file("\" WINDOW_SIZE 17", "\" HOTP_COUNTER 1").remarks(limits: limits)
    #expect(counter.map(\.setting) == ["look_ahead = 16"])
    let wide = try file("\" WINDOW_SIZE 100", "\" TOTP_AUTH").remarks(limits: limits)
    #expect(wide[0].line.hasSuffix(": window = 10 (the nearest allowed value)"))
    let same = try file("\" WINDOW_SIZE 3", "\" TOTP_AUTH").remarks(limits: limits)
    #expect(same[0].lines.last == "    window = 1  (already in effect)")
  }

  @Test func digitsAndAlgorithmOfTheHardenedForkAreParsed() throws {
    let device = try file("\" TOTP_AUTH", "\" DIGITS 8", "\" ALGORITHM SHA256", "\" STEP_SIZE 60").device(now: 1)
    #expect(device.digits == .eight && device.algorithm == .sha256 && device.kind == .totp(period: 60))
    let plain = try file("\" TOTP_AUTH", "\" DIGITS 6", "\" ALGORITHM sha1").device(now: 1)
    #expect(plain.digits == .six && plain.algorithm == .sha1)
    // The modules accept one blank before the name, and ignore the line otherwise.
    let ignored = try file("\" TOTP_AUTH", "\"  DIGITS 8", "\"DIGITS 8", "\" digits 8")
    #expect(ignored.digits == .six && ignored.otherOptions == [nil])
  }

  @Test func aCounterHasNeitherAlgorithmNorClock() throws {
    let file = try file("\" HOTP_COUNTER 3", "\" DIGITS 8", "\" ALGORITHM sha512", "\" TIME_SKEW 5")
    let device = file.device(now: 1)
    #expect(device.digits == .eight && device.algorithm == .sha1 && device.clockOffset == 0)
    let remarks = file.remarks(limits: VerificationLimits())
    #expect(remarks.map(\.text) == ["ALGORITHM applies to time-based codes only, so the counter uses SHA-1"])
  }

  @Test func aPlainFileHasNoRemarks() throws {
    #expect(try file("\" TOTP_AUTH", "\" DISALLOW_REUSE", "12345678").remarks(limits: VerificationLimits()).isEmpty)
  }
}
