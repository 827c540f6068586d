import Enrollment
import KeyFormats
import OneTimePassword
import Testing
import Verification

@testable import TwoFactorSetup

/// Uses the key and the codes of RFC 4226 appendix D.
@Suite struct EnrollmentTrialTests {
  private let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

  private func trial(_ kind: Device.Kind) throws -> EnrollmentTrial {
    let device = try DeviceDraft(name: "phone", key: SharedKey(base32: key.utf8.span), kind: kind)
    return try EnrollmentTrial([device], limits: VerificationLimits())
  }

  @Test func aRightCodeIsUsedUpInTheNewState() throws {
    guard case .right(_, let state) = try trial(.totp(period: 30)).check(typed("287 082"), now: 59) else {
      throw Missing(what: "the expected case")
    }
    #expect(state.nextFactor == 2)
    #expect(state.lastUsedAt == 0)
  }

  @Test func aLateCodeIsRefusedWithItsDelay() throws {
    guard case .wrong(let refusal) = try trial(.totp(period: 30)).check(typed("287082"), now: 30 * 4) else {
      throw Missing(what: "the expected case")
    }
    #expect(refusal.message == "this code is right, but 90 seconds late")
  }

  /// The eighth code, with a look-ahead of one.
  @Test func theHintOfACodeOutsideTheWindowIsTheCommandThatHelps() throws {
    var limits = VerificationLimits()
    limits.lookAhead = 1
    for (kind, words) in [
      (Device.Kind.hotp(counter: 0), "resynchronize the counter: use --no-confirm, and then: resync phone"),
      (.totp(period: 30), "; or store the difference: use --no-confirm, and then: resync phone"),
    ] {
      let device = try DeviceDraft(name: "phone", key: SharedKey(base32: key.utf8.span), kind: kind)
      let trial = try EnrollmentTrial([device], limits: limits, resync: { "resync \($0)" })
      guard case .wrong(let refusal) = try trial.check(typed("162583"), now: 10) else {
        throw Missing(what: "the expected case")
      }
      #expect(refusal.hint?.hasSuffix(words) == true)
    }
  }

  @Test func theCounterContinuesAfterTheTypedCode() throws {
    guard case .right(_, let state) = try trial(.hotp(counter: 0)).check(typed("969429"), now: 0) else {
      throw Missing(what: "the expected case")
    }
    #expect(state.nextFactor == 4)
  }

  @Test(arguments: ["", "12345", "abc", "000000"])
  func otherRepliesAreRefused(text: String) throws {
    guard case .wrong = try trial(.totp(period: 30)).check(typed(text), now: 59) else {
      throw Missing(what: "the expected case")
    }
  }

  /// The hint after a code at 1700000000, computed independently.
  private func hint(
    _ code: String, kind: Device.Kind = .totp(period: 30), algorithm: HashAlgorithm = .sha1, digits: CodeDigits = .six
  ) throws -> String {
    let device = try DeviceDraft(
      name: "phone", key: SharedKey(base32: key.utf8.span), kind: kind, algorithm: algorithm, digits: digits)
    let trial = try EnrollmentTrial([device], limits: VerificationLimits()) { $0.hint(repeating: ["enable", "--yes"]) }
    guard case .wrong(let refusal) = try trial.check(typed(code), now: 1_700_000_000) else {
      throw Missing(what: "the expected case")
    }
    #expect(refusal.message == "wrong code")
    return refusal.hint ?? ""
  }

  @Test(arguments: [
    ("895298", "--period 60"), ("81921300", "--digits 8"), ("869966", "--algorithm sha256"),
    ("855935", "--algorithm sha256 --period 60"), ("84550644", "--algorithm sha512 --digits 8"),
    ("338314", "--type hotp"),
  ])
  func aCodeThatFitsOtherSettingsNamesThem(code: String, options: String) throws {
    #expect(try hint(code) == "this code fits \(options); to use that: twofactor enable --yes \(options)")
  }

  @Test func theSettingsOfTheDeviceAreNoDefaults() throws {
    #expect(try hint("921300", digits: .eight).hasPrefix("this code fits --digits 6;"))
    #expect(try hint("895298", algorithm: .sha256).hasPrefix("this code fits --algorithm sha1 --period 60;"))
    #expect(try hint("921300", kind: .hotp(counter: 9)).hasPrefix("this code fits --type totp --period 30;"))
    #expect(try hint("921300", kind: .totp(period: 25)).hasPrefix("this code fits --period 30;"))
  }

  /// Three settings differ.
  @Test func otherCodesBlameTheClock() throws {
    #expect(try hint("34855935").contains("clock"))
  }
}
