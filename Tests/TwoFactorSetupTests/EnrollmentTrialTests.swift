import Enrollment
import KeyFormats
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
}
