import Testing
import Verification

@testable import TwoFactorSetup

@Suite struct CodeRefusalTests {
  @Test(
    arguments: [
      (.noReply, "no code was typed"), (.malformedReply, "this is not a code"),
      (.wrongCode(failures: 1), "wrong code"), (.wrongBackupCode(failures: 0), "wrong code"),
      (.outsideWindow(steps: -3), "this code is right, but 90 seconds late"),
      (.outsideWindow(steps: 20), "this code is right, but 10 minutes early"),
      (.reusedCode, "this code was already used"),
      (.reusedBackupCode, "this backup code was already used"),
      (.throttled(seconds: 30), "too many failed codes"),
      (.locked, "too many failed codes; app codes are locked"),
    ] as [(Refusal, String)])
  func aRefusalIsDescribed(refusal: Refusal, message: String) {
    let refusal = CodeRefusal(refusal, period: 30)
    #expect(refusal.message == message)
    #expect(refusal.error.status == .refused)
  }

  @Test func aCounterIsAheadInCodesAndNotInTime() {
    let refusal = CodeRefusal(.outsideWindow(steps: 12), period: nil)
    #expect(refusal.message == "this code is 12 counters ahead of the expected one")
  }

  @Test func aLineOfTheTranscriptConsistsOfSentences() {
    let refusal = CodeRefusal(.reusedCode, period: 30)
    #expect(refusal.line == "This code was already used. Wait for the next one.")
    let backup = CodeRefusal(.reusedBackupCode, period: 30)
    #expect(backup.line == "This backup code was already used. Use another one.")
  }
}
