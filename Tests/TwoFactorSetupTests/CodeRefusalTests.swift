import Testing
import Verification

@testable import TwoFactorSetup

@Suite struct CodeRefusalTests {
  @Test func whatIsAcceptedIsNotRefused() {
    #expect(CodeRefusal(.acceptedCode(device: 0), period: 30) == nil)
    #expect(CodeRefusal(.acceptedBackupCode(index: 0), period: 30) == nil)
  }

  @Test(
    arguments: [
      (.wrongCode(failures: 1), "wrong code"),
      (.outsideWindow(steps: -3), "this code is right, but 90 seconds late"),
      (.outsideWindow(steps: 20), "this code is right, but 10 minutes early"),
      (.reusedCode, "this code was already used"),
      (.throttled(seconds: 30), "too many failed codes"),
      (.locked, "too many failed codes, no more are looked at"),
    ] as [(Verdict, String)])
  func everyRefusalHasItsWords(verdict: Verdict, message: String) throws {
    let refusal = try #require(CodeRefusal(verdict, period: 30))
    #expect(refusal.message == message)
    #expect(refusal.error.status == .refused)
  }

  @Test func aCounterIsAheadInCodesAndNotInTime() throws {
    let refusal = try #require(CodeRefusal(.outsideWindow(steps: 12), period: nil))
    #expect(refusal.message == "this code is 12 ahead of the one expected")
  }

  @Test func aLineOfTheTranscriptIsMadeOfSentences() throws {
    let refusal = try #require(CodeRefusal(.reusedCode, period: 30))
    #expect(refusal.line == "This code was already used. Wait for the next one; a backup code is good once.")
  }
}
