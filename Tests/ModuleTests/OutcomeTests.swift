import CPAM
import FixedMemory
import Testing

@testable import Enrollment
@testable import LoginPolicy
@testable import PAMModule

@Suite struct OutcomeTests {
  private static let detail = Outcome.Detail("credential: is \"odd\"\n")

  /// For each outcome: the number, the importance, the end of the line of the log, and what the user is told.
  private static let table: [(Outcome, Int32, LogPriority, String, String)] = [
    (.accepted(.totp(device: DeviceNameText("my phone"))), PAM_SUCCESS, .info, "method=totp device=my\\x20phone", ""),
    (.accepted(.hotp(device: DeviceNameText("token"))), PAM_SUCCESS, .info, "method=hotp device=token", ""),
    (
      .accepted(.backupCode(left: 3)), PAM_SUCCESS, .info, "method=backup-code backup_codes_left=3",
      "3 backup codes left. Create new ones with: twofactor backup-codes"
    ),
    (.exempt(why: "not enrolled"), PAM_IGNORE, .info, "method=exempt", ""),
    (.accepted(.grace), PAM_SUCCESS, .info, "method=grace", ""),
    (
      .exemptUntil(CalendarDay(rawValue: 20_484)), PAM_IGNORE, .info, "method=exempt",
      "Two-factor authentication will be required from 2026-01-31. Switch it on with: twofactor enable"
    ),
    (.denied(.wrongCode(failures: 4)), PAM_AUTH_ERR, .notice, "reason=wrong-code failures=4", ""),
    (
      .denied(.reusedCode), PAM_AUTH_ERR, .notice, "reason=reused-code",
      "This code was already used. Wait for the next one."
    ),
    (.denied(.outsideWindow(steps: -7)), PAM_AUTH_ERR, .notice, "reason=outside-window offset_steps=-7", ""),
    (
      .denied(.throttled(seconds: 29)), PAM_MAXTRIES, .notice, "reason=throttled retry_after=29",
      "Too many failed codes. Try again in 29 seconds."
    ),
    (.denied(.locked), PAM_MAXTRIES, .notice, "reason=locked", unchecked),
    (.denied(.notEnrolled), PAM_AUTH_ERR, .notice, "reason=not-enrolled", ""),
    (.denied(.unknownUser), PAM_AUTH_ERR, .notice, "reason=unknown-user", ""),
    (.denied(.noReply), PAM_AUTH_ERR, .notice, "reason=no-reply", ""),
    (.denied(.noConversation), PAM_CONV_ERR, .notice, "reason=no-reply", ""),
    (.denied(.malformedReply), PAM_AUTH_ERR, .notice, "reason=malformed-reply", ""),
    (
      .denied(.insecureFile(detail)), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=insecure-file detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      .denied(.corruptFile(detail)), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=corrupt-file detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      .denied(.inputOutput(detail)), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=io-error detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      .denied(.configuration(detail)), PAM_SERVICE_ERR, .error,
      "reason=configuration detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
  ]

  private static let unchecked = "Two-factor authentication could not be checked. Contact the administrator."

  @Test func everyOutcomeHasItsNumberItsLineAndItsMessage() {
    for (outcome, number, priority, line, message) in Self.table {
      #expect(outcome.status.rawValue == number)
      #expect(outcome.priority == priority)
      let start = number == PAM_SUCCESS || number == PAM_IGNORE ? "accepted" : "denied"
      #expect(
        outcome.logLine(user: ByteText("alice"), remoteHost: ByteText("192.0.2.1")).string
          == "\(start) user=alice rhost=192.0.2.1 \(line)")
      #expect(outcome.message.string == message)
      #expect(outcome.isRefusal == (start == "denied"))
    }
  }

  @Test func whatOthersChoseIsEscaped() {
    let line = Outcome.denied(.unknownUser).logLine(
      user: ByteText("a b\n\u{1b}[2J\"\\ü"), remoteHost: ByteText("")
    ).string
    #expect(
      line == "denied user=a\\x20b\\x0a\\x1b[2J\\x22\\x5c\\xc3\\xbc rhost=- reason=unknown-user")
  }

  @Test func nobodysNamePushesTheReasonOutOfTheLine() {
    let long = ByteText<256>(String(repeating: "\n", count: 255))
    let detail = Outcome.Detail(String(repeating: "d", count: 255))
    let line = Outcome.denied(.configuration(detail)).logLine(user: long, remoteHost: long).string
    let escapes = String(repeating: "\\x0a", count: 64)
    #expect(line == "denied user=\(escapes) rhost=\(escapes) reason=configuration detail=\"\(detail.string)\"")
    // The longest name that DNS has (RFC 1035 section 2.3.4), and the longest that Linux has for a user, are whole.
    let host = ByteText<256>(String(repeating: "h", count: 253))
    let whole = Outcome.denied(.locked).logLine(user: host, remoteHost: host).string
    #expect(whole == "denied user=\(host.string) rhost=\(host.string) reason=locked")
  }

  @Test func aFailureOfTheFilesIsNeverAPass() {
    for (reason, number) in [
      (.insecure, PAM_AUTHINFO_UNAVAIL), (.corrupt, PAM_AUTHINFO_UNAVAIL), (.io, PAM_AUTHINFO_UNAVAIL),
      (.absent, PAM_AUTH_ERR), (.gone, PAM_AUTH_ERR), (.configuration, PAM_SERVICE_ERR),
    ] as [(EnrollmentFailure.Reason, Int32)] {
      #expect(Outcome(EnrollmentFailure(reason, "a", "b")).status.rawValue == number)
    }
  }
}
