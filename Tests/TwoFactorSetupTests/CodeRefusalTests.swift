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
    let known = CodeRefusal(.outsideWindow(steps: 12), period: nil, resync: "twofactor device resync token")
    #expect(known.hint == "resynchronize the counter: twofactor device resync token")
  }

  @Test func theHintNamesTheCommandThatHelps() {
    let command = "twofactor device resync phone"
    #expect(CodeRefusal(.outsideWindow(steps: -3), period: 30, resync: command).hint?.hasSuffix(": " + command) == true)
    #expect(CodeRefusal(.outsideWindow(steps: -3), period: 30).hint?.contains("resync") == false)
    #expect(CodeRefusal(.wrongCode(failures: 1), period: nil).hint == nil)
    #expect(
      CodeRefusal(.wrongCode(failures: 1), period: nil, resync: command).hint
        == "if the device is out of step: twofactor device resync phone")
  }

  @Test(
    arguments: [
      ("phone", "twofactor device resync phone"), ("my phone", "twofactor device resync 'my phone'"),
      ("it's", "twofactor device resync 'it'\\''s'"), ("-x", "twofactor device resync -- -x"),
      ("$(id)", "twofactor device resync '$(id)'"),
    ]) func theCommandWorksWhenItIsPasted(name: String, command: String)
  {
    #expect(Invocation.text(ofDeviceCommand: "resync", name, "") == command)
    #expect(
      Invocation.text(ofDeviceCommand: "remove", "x", " --user alice") == "twofactor device remove --user alice x")
  }

  @Test func aLineOfTheTranscriptConsistsOfSentences() {
    let refusal = CodeRefusal(.reusedCode, period: 30)
    #expect(refusal.line == "This code was already used. Wait for the next one.")
    let backup = CodeRefusal(.reusedBackupCode, period: 30)
    #expect(backup.line == "This backup code was already used. Use another one.")
  }
}
