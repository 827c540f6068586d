import CPAM
import FixedMemory
import Testing

@testable import Enrollment
@testable import LoginPolicy
@testable import PAMModule

@Suite struct OutcomeTests {
  private static func failure(_ reason: EnrollmentFailure.Reason) -> Outcome {
    .denied(.failure(EnrollmentFailure(reason, "credential", "is \"odd\"\n")))
  }

  private static let words = "my \"phone\"\n"

  /// For each outcome: PAM status, log priority, end of the log line, message to the user.
  private static let table: [(Outcome, Int32, LogPriority, String, String)] = [
    (.accepted(.totp), PAM_SUCCESS, .info, "method=totp device=my\\x20\\x22phone\\x22\\x0a", ""),
    (.accepted(.hotp), PAM_SUCCESS, .info, "method=hotp device=my\\x20\\x22phone\\x22\\x0a", ""),
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
    (.denied(.refused(.wrongCode(failures: 4))), PAM_AUTH_ERR, .notice, "reason=wrong-code failures=4", ""),
    (.denied(.refused(.wrongBackupCode(failures: 4))), PAM_AUTH_ERR, .notice, "reason=wrong-code failures=4", ""),
    (
      .denied(.refused(.reusedCode)), PAM_AUTH_ERR, .notice, "reason=reused-code",
      "This code was already used. Wait for the next one."
    ),
    (
      .denied(.refused(.reusedBackupCode)), PAM_AUTH_ERR, .notice, "reason=reused-code",
      "This backup code was already used. Use another one."
    ),
    (.denied(.methodRequired), PAM_AUTH_ERR, .notice, "reason=method-required", ""),
    (
      .denied(.refused(.outsideWindow(steps: -7))), PAM_AUTH_ERR, .notice,
      "reason=outside-window offset_steps=-7 device=my\\x20\\x22phone\\x22\\x0a "
        + "detail=\"twofactor device resync --user alice 'my \\x22phone\\x22\\x0a'\"",
      "This code is late. Type a code as soon as it is shown, or ask the administrator for: twofactor device resync"
    ),
    (
      .denied(.refused(.outsideWindow(steps: 7))), PAM_AUTH_ERR, .notice,
      "reason=outside-window offset_steps=7 device=my\\x20\\x22phone\\x22\\x0a "
        + "detail=\"twofactor device resync --user alice 'my \\x22phone\\x22\\x0a'\"", ""
    ),
    (
      .denied(.refused(.throttled(seconds: 29))), PAM_MAXTRIES, .notice, "reason=throttled retry_after=29",
      "Too many failed codes. Try again in 29 seconds."
    ),
    (.denied(.refused(.locked)), PAM_MAXTRIES, .notice, "reason=locked", unchecked),
    (.denied(.notEnrolled), PAM_AUTH_ERR, .notice, "reason=not-enrolled", ""),
    (.denied(.unknownUser), PAM_AUTH_ERR, .notice, "reason=unknown-user", ""),
    (.denied(.refused(.noReply)), PAM_AUTH_ERR, .notice, "reason=no-reply", ""),
    (.denied(.noConversation), PAM_CONV_ERR, .notice, "reason=no-reply", ""),
    (.denied(.refused(.malformedReply)), PAM_AUTH_ERR, .notice, "reason=malformed-reply", ""),
    (
      failure(.insecure), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=insecure-file detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      failure(.corrupt), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=corrupt-file detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      failure(.io), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=io-error detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      failure(.configuration), PAM_SERVICE_ERR, .error,
      "reason=configuration detail=\"credential: is \\x22odd\\x22\\x0a\"", unchecked
    ),
    (
      .denied(.configuration), PAM_SERVICE_ERR, .error,
      "reason=configuration detail=\"my \\x22phone\\x22\\x0a\"", unchecked
    ),
    (
      .denied(.outOfMemory), PAM_AUTHINFO_UNAVAIL, .error,
      "reason=io-error detail=\"my \\x22phone\\x22\\x0a\"", unchecked
    ),
  ]

  private static let unchecked = "Two-factor authentication could not be checked. Contact the administrator."

  private func logLine(
    _ outcome: Outcome, _ user: String, _ remoteHost: String, words: String = words
  ) -> String {
    var line = ByteText(capacity: 1023)
    outcome.appendLogLine(
      to: &line, user: Array(user.utf8).span, remoteHost: Array(remoteHost.utf8).span, words: ByteText(words))
    return line.string
  }

  @Test func theUseOfABackupCodeIsReportedAtTheNextLogin() {
    for (outcome, number, _, _, message) in Self.table {
      var told = ByteText(capacity: 255)
      outcome.appendMessage(to: &told, backupCodeUsedAt: 1_767_225_599)
      switch outcome {
      case .accepted(.totp), .accepted(.hotp): #expect(told.string == "A backup code was used on 2025-12-31.")
      default: #expect(told.string == message, "\(number)")
      }
    }
  }

  @Test func everyOutcomeHasItsStatusLogLineAndMessage() {
    for (outcome, number, priority, line, message) in Self.table {
      #expect(outcome.status.rawValue == number)
      #expect(outcome.priority == priority)
      let start = number == PAM_SUCCESS || number == PAM_IGNORE ? "accepted" : "denied"
      #expect(logLine(outcome, "alice", "192.0.2.1") == "\(start) user=alice rhost=192.0.2.1 \(line)")
      var told = ByteText(capacity: 255)
      outcome.appendMessage(to: &told, backupCodeUsedAt: 0)
      #expect(told.string == message)
      #expect(outcome.isDenial == (start == "denied"))
    }
  }

  @Test func untrustedValuesAreEscaped() {
    let line = logLine(.denied(.unknownUser), "a b\n\u{1b}[2J\"\\ü", "")
    #expect(
      line == "denied user=a\\x20b\\x0a\\x1b[2J\\x22\\x5c\\xc3\\xbc rhost=- reason=unknown-user")
  }

  @Test func aLongNameDoesNotPushTheReasonOutOfTheLine() {
    let long = String(repeating: "\n", count: 255)
    let escapes = String(repeating: "\\x0a", count: 64)
    let words = String(repeating: "d", count: 255)
    #expect(
      logLine(.denied(.configuration), long, long, words: words)
        == "denied user=\(escapes) rhost=\(escapes) reason=configuration detail=\"\(words)\"")
    // The longest DNS name (RFC 1035 section 2.3.4) and the longest Linux user name fit.
    let host = String(repeating: "h", count: 253)
    #expect(logLine(.denied(.refused(.locked)), host, host) == "denied user=\(host) rhost=\(host) reason=locked")
  }

  @Test func aFailureOfTheFilesNeverPasses() {
    for (reason, number) in [
      (.insecure, PAM_AUTHINFO_UNAVAIL), (.corrupt, PAM_AUTHINFO_UNAVAIL), (.io, PAM_AUTHINFO_UNAVAIL),
      (.missing, PAM_AUTHINFO_UNAVAIL), (.absent, PAM_AUTH_ERR), (.gone, PAM_AUTH_ERR),
      (.configuration, PAM_SERVICE_ERR),
    ] as [(EnrollmentFailure.Reason, Int32)] {
      #expect(Outcome(EnrollmentFailure(reason, "a", "b")).status.rawValue == number)
    }
  }
}
