import Enrollment
import FixedMemory
import OneTimePassword
import Testing

@testable import Verification

/// A moment in the middle of a time step of 30 seconds.
private let now: Int64 = 1_700_000_010

/// An enrollment against which replies are checked one after the other.
private struct Trial: ~Copyable {
  let credential: Credential
  var state: LoginState
  var limits = VerificationLimits()

  init(devices: [String] = [totpDevice()], backupCodes: [String] = []) throws {
    credential = try Credential(parsing: buffer(credentialText(devices: devices, backupCodes: backupCodes)))
    state = LoginState(generation: sampleGeneration)
  }

  /// Verifies a reply, and keeps the new state.
  mutating func check(_ typed: String, at time: Int64 = now, hash: String = "") throws -> Verdict {
    try check(Reply(Array(typed.utf8).span), at: time, hash: hash)
  }

  /// The same for the code at the end of a password.
  mutating func check(endOf password: String, hash: String) throws -> Verdict {
    try check(Reply(endOf: Array(password.utf8).span, hasScratchCodes: credential.hasScratchCodes), at: now, hash: hash)
  }

  private mutating func check(_ reply: consuming Reply, at time: Int64, hash: String) throws -> Verdict {
    try verify(reply, hash: Array(hash.utf8).span, credential: credential, state: &state, limits: limits, now: time)
  }
}

/// The code of the RFC's secret for a moving factor.
private func code(
  _ factor: UInt64, digits: CodeDigits = .six, algorithm: HashAlgorithm = .sha1,
  secret: [UInt8] = Array("12345678901234567890".utf8)
) -> String {
  guard let key = SharedSecret(secret.span, algorithm: algorithm) else { return "" }
  let number = String(key.code(at: factor, digits: digits) ?? .max)
  return String(repeating: "0", count: Int(digits.rawValue) - number.count) + number
}

/// The code `steps` time steps of 30 seconds from `time`.
private func code(steps: Int64, at time: Int64 = now) -> String { code(UInt64(time / 30 + steps)) }

/// A code that no time step near `time` has.
private func wrongCode(at time: Int64 = now) -> String {
  let near = Set((-40...40).map { code(steps: $0, at: time) })
  return (0..<1000).map { String(900_000 + $0) }.first { !near.contains($0) } ?? ""
}

@Suite struct VerifierTests {
  @Test(arguments: [0, 1, 2, 10] as [UInt64]) func codesInTheWindowAreAccepted(window: UInt64) throws {
    for steps in Int64(-25)...25 {
      var trial = try Trial()
      trial.limits.window = window
      let verdict = try trial.check(code(steps: steps))
      if steps.magnitude <= window {
        #expect(verdict == .acceptedCode(device: 0))
      } else if steps.magnitude <= 20 {
        #expect(verdict == .refused(.outsideWindow(steps: steps)))
      } else {
        #expect(verdict == .refused(.wrongCode(failures: 1)))
      }
    }
  }

  @Test func aReusedCodeIsRejected() throws {
    var trial = try Trial()
    #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    #expect(try trial.check(code(steps: 0)) == .refused(.reusedCode))
    #expect(try trial.check(code(steps: 0), at: now + 30) == .refused(.reusedCode))
    let failures = trial.state.failures
    #expect(failures == 0)
  }

  /// One secret in a million has the same code for two time steps in a row.
  @Test func aCodeOfTwoTimeStepsIsAcceptedOnce() throws {
    let secret = "MNXWY3DJONUW63RAGAYDAMBTGM4DOOJU"
    let typed = code(UInt64(now / 30), secret: Array("collision 0000338794".utf8))
    #expect(typed == code(UInt64(now / 30) + 1, secret: Array("collision 0000338794".utf8)))
    for time in [now - 30, now, now + 30, now + 60] {
      var trial = try Trial(devices: [totpDevice(secret: secret)])
      #expect(try trial.check(typed, at: time) == .acceptedCode(device: 0))
      #expect(try trial.check(typed, at: time) == .refused(.reusedCode))
      #expect(trial.state.failures == 0)
      let next = code(UInt64(now / 30) + 3, secret: Array("collision 0000338794".utf8))
      #expect(try trial.check(next, at: now + 90) == .acceptedCode(device: 0))
    }
  }

  @Test func aCodeOfTwoCountersIsAcceptedOnce() throws {
    let secret = Array("collision 0000736268".utf8)
    let typed = code(5, secret: secret)
    #expect(typed == code(6, secret: secret))
    for counter in UInt64(3)...5 {
      var trial = try Trial(devices: [hotpDevice(counter: counter, secret: "MNXWY3DJONUW63RAGAYDAMBXGM3DENRY")])
      #expect(try trial.check(typed) == .acceptedCode(device: 0))
      #expect(try trial.check(typed) == .refused(.reusedCode))
      #expect(try trial.check(code(7, secret: secret)) == .acceptedCode(device: 0))
    }
  }

  @Test func noTimeStepBeforeTheLastAcceptedOneIsAccepted() throws {
    var trial = try Trial()
    #expect(try trial.check(code(steps: 1)) == .acceptedCode(device: 0))
    #expect(try trial.check(code(steps: 0)) == .refused(.reusedCode))
    #expect(try trial.check(code(steps: -1)) == .refused(.reusedCode))
    #expect(try trial.check(code(steps: 2), at: now + 30) == .acceptedCode(device: 0))
  }

  @Test func settingTheClockBackDoesNotAllowReplay() throws {
    var trial = try Trial()
    #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    for back in [30, 60, 3600] as [Int64] {
      #expect(try trial.check(code(steps: 0, at: now - back), at: now - back) == .refused(.reusedCode))
    }
    #expect(try trial.check(code(steps: 1)) == .acceptedCode(device: 0))
  }

  @Test(arguments: [0, 59, 2_147_483_640, 2_147_483_700, 4_294_967_290, 4_294_967_400, Int64.max] as [Int64])
  func codesAreAcceptedInAnyYear(time: Int64) throws {
    var trial = try Trial()
    #expect(try trial.check(code(UInt64(time / 30)), at: time) == .acceptedCode(device: 0))
    #expect(try trial.check(code(UInt64(time / 30)), at: time) == .refused(.reusedCode))
  }

  @Test func noCodeIsAcceptedBeforeTheEpoch() throws {
    var trial = try Trial()
    #expect(try trial.check(code(0), at: -1) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.check(code(0), at: Int64.min) == .refused(.wrongCode(failures: 2)))
  }

  @Test(arguments: ["sha1", "sha256", "sha512"]) func everyKindOfTOTPCodeIsAccepted(name: String) throws {
    let algorithm: HashAlgorithm = name == "sha1" ? .sha1 : name == "sha256" ? .sha256 : .sha512
    for digits in [CodeDigits.six, .eight] {
      for period in [15, 30, 60, 299, 300] {
        var trial = try Trial(
          devices: [totpDevice(algorithm: name, digits: Int(digits.rawValue), period: period)])
        let typed = code(UInt64(now) / UInt64(period), digits: digits, algorithm: algorithm)
        #expect(try trial.check(typed) == .acceptedCode(device: 0))
        #expect(try trial.check(typed) == .refused(.reusedCode))
      }
    }
  }

  @Test func codesOfTheOtherLengthAreWrong() throws {
    var six = try Trial()
    #expect(try six.check(code(UInt64(now / 30), digits: .eight)) == .refused(.wrongCode(failures: 1)))
    var eight = try Trial(devices: [totpDevice(digits: 8)])
    #expect(try eight.check(code(steps: 0)) == .refused(.wrongCode(failures: 1)))
  }

  @Test func eachDeviceHasItsOwnCodesAndItsOwnState() throws {
    var trial = try Trial(devices: [totpDevice(), hotpDevice(counter: 5, secret: secret(2))])
    func other(_ counter: UInt64) -> String { code(counter, secret: [UInt8](repeating: 0, count: 19) + [2]) }
    #expect(try trial.check(other(5)) == .acceptedCode(device: 1))
    #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    #expect(try trial.check(other(5)) == .refused(.reusedCode))
    #expect(try trial.check(other(6)) == .acceptedCode(device: 1))
    let (first, second) = (trial.state[device: 0], trial.state[device: 1])
    #expect(first.nextFactor == UInt64(now / 30) + 1)
    #expect(second.nextFactor == 7)
    #expect(second.lastUsedAt == now)
  }

  @Test func aCounterIsAcceptedWithinTheLookAheadAndNeverAgain() throws {
    for ahead in UInt64(0)...32 {
      var trial = try Trial(devices: [hotpDevice(counter: 100)])
      let verdict = try trial.check(code(100 + ahead))
      switch ahead {
      case 0...10: #expect(verdict == .acceptedCode(device: 0))
      case 11...30: #expect(verdict == .refused(.outsideWindow(steps: Int64(ahead))))
      default: #expect(verdict == .refused(.wrongCode(failures: 1)))
      }
    }
    var trial = try Trial(devices: [hotpDevice(counter: 100)])
    #expect(try trial.check(code(108)) == .acceptedCode(device: 0))
    for counter in UInt64(100)...108 { #expect(try trial.check(code(counter)) == .refused(.reusedCode)) }
    #expect(try trial.check(code(109)) == .acceptedCode(device: 0))
  }

  @Test func noCodeIsAcceptedAfterTheLastCounter() throws {
    let last = LoginState.highestCounter
    var trial = try Trial(devices: [hotpDevice(counter: last)])
    #expect(try trial.check(code(last)) == .acceptedCode(device: 0))
    for (failures, counter) in zip(UInt32(1)..., [last, last &+ 1, 0, 1]) {
      #expect(try trial.check(code(counter)) == .refused(.wrongCode(failures: failures)))
    }
  }

  @Test func aBackupCodeIsAcceptedOnce() throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))", "backup-code \(hash("b"))"])
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("b")) == .acceptedBackupCode(index: 1))
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("b")) == .refused(.reusedBackupCode))
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("a")) == .acceptedBackupCode(index: 0))
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("c")) == .refused(.wrongBackupCode(failures: 0)))
    #expect(try trial.check("AAAAA-AAAAA") == .refused(.wrongBackupCode(failures: 0)))
  }

  @Test func aPolicyWithoutBackupCodesRejectsThem() throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))"])
    trial.limits.acceptsBackupCodes = false
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("a")) == .refused(.wrongBackupCode(failures: 0)))
  }

  @Test func eightDigitsAreABackupCodeOnlyIfImportedAsScratchCode() throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))", "scratch-code \(hash("b"))"])
    #expect(try trial.check("12345678", hash: hash("a")) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.check("12345678", hash: hash("b")) == .acceptedBackupCode(index: 1))
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("b")) == .refused(.wrongBackupCode(failures: 0)))
  }
}

@Suite struct ThrottleTests {
  @Test func afterFiveFailuresTheDelayDoublesUpTo15Minutes() throws {
    var trial = try Trial()
    var time = now
    let wrong = (0..<1000).map { String(format: 900_000 + $0) }
    for failures in 1...4 {
      #expect(try trial.check(wrong[failures], at: time) == .refused(.wrongCode(failures: UInt32(failures))))
    }
    for (count, delay) in [(5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 900), (11, 900), (12, 900)]
      as [(UInt32, Int64)]
    {
      #expect(try trial.check(wrong[Int(count)], at: time) == .refused(.wrongCode(failures: count)))
      #expect(try trial.check(wrong[0], at: time) == .refused(.throttled(seconds: delay)))
      #expect(
        try trial.check(code(steps: 0, at: time + delay - 1), at: time + delay - 1) == .refused(.throttled(seconds: 1)))
      time += delay
    }
    #expect(try trial.check(code(steps: 0, at: time), at: time) == .acceptedCode(device: 0))
    let (failures, until) = (trial.state.failures, trial.state.throttledUntil)
    #expect(failures == 0)
    #expect(until == 0)
  }

  @Test func after100FailuresCodesAreLocked() throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))"])
    var time = now
    for failures in 1...100 {
      #expect(try trial.check(wrongCode(at: time), at: time) == .refused(.wrongCode(failures: UInt32(failures))))
      time += 900
    }
    for later in [0, 86_400, 86_400 * 3650] as [Int64] {
      #expect(try trial.check(code(steps: 0, at: time + later), at: time + later) == .refused(.locked))
    }
    #expect(try trial.check("AAAAA-AAAAA", at: time, hash: hash("x")) == .refused(.locked))
    #expect(try trial.check("AAAAA-AAAAA", at: time, hash: hash("a")) == .acceptedBackupCode(index: 0))
    #expect(try trial.check(code(steps: 0, at: time), at: time) == .acceptedCode(device: 0))
  }

  @Test func reusedAndThrottledCodesDoNotCount() throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))"])
    #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    for _ in 0..<20 { #expect(try trial.check(code(steps: 0)) == .refused(.reusedCode)) }
    for failures in 1...5 { #expect(try trial.check(wrongCode()) == .refused(.wrongCode(failures: UInt32(failures)))) }
    for _ in 0..<200 { #expect(try trial.check(wrongCode()) == .refused(.throttled(seconds: 30))) }
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("x")) == .refused(.throttled(seconds: 30)))
    let failures = trial.state.failures
    #expect(failures == 5)
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("a")) == .acceptedBackupCode(index: 0))
  }

  /// Ten characters may be an ordinary password. What has six or eight digits may be a guess.
  @Test(arguments: ["AAAAA-AAAAA", "abcdefghjk", "0123456789"]) func tenCharactersDoNotCount(typed: String) throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))", "scratch-code \(hash("b"))"])
    #expect(try trial.check(wrongCode()) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.check("12345678", hash: hash("x")) == .refused(.wrongCode(failures: 2)))
    for _ in 0..<200 {
      #expect(try trial.check(typed, hash: hash("x")) == .refused(.wrongBackupCode(failures: 2)))
    }
    #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    #expect(try trial.check(typed, hash: hash("a")) == .acceptedBackupCode(index: 0))
  }

  @Test(arguments: ["secret ABCDEFGHJK", "secret ABCDE-FGHJK", "hunter2 correcthorse"])
  func tenCharactersAtTheEndOfAPasswordDoNotCount(password: String) throws {
    var trial = try Trial(backupCodes: ["backup-code \(hash("a"))"])
    #expect(try trial.check(endOf: password, hash: hash("x")) == .refused(.wrongBackupCode(failures: 0)))
    #expect(try trial.check(endOf: password + wrongCode(), hash: hash("x")) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.check(endOf: password, hash: hash("a")) == .acceptedBackupCode(index: 0))
  }

  @Test func aScratchCodeIsAcceptedDuringThrottling() throws {
    for failures in [5, 99, 100, 5000] as [UInt32] {
      var trial = try Trial(backupCodes: ["scratch-code \(hash("a"))"])
      trial.state.failures = failures
      trial.state.throttledUntil = now + 30
      #expect(try trial.check("12345678", hash: hash("a")) == .acceptedBackupCode(index: 0))
      let (failuresThen, until) = (trial.state.failures, trial.state.throttledUntil)
      #expect(failuresThen == 0)
      #expect(until == 0)
      #expect(try trial.check(code(steps: 0)) == .acceptedCode(device: 0))
    }
  }

  @Test(arguments: [5, 100] as [UInt32]) func oneHundredScratchCodesAreTriedDuringThrottling(
    failures: UInt32
  ) throws {
    var trial = try Trial(backupCodes: ["scratch-code \(hash("a"))", "backup-code \(hash("b"))"])
    trial.state.failures = failures
    trial.state.throttledUntil = now + 30
    let refused: Verdict = failures == 100 ? .refused(.locked) : .refused(.throttled(seconds: 30))
    for guesses in UInt32(1)...100 {
      #expect(try trial.check("12345678", hash: hash("x")) == refused)
      let (guessesThen, failuresThen, until) =
        (trial.state.earlyGuesses, trial.state.failures, trial.state.throttledUntil)
      #expect(guessesThen == guesses)
      #expect(failuresThen == failures, "a guess locked the codes of the owner")
      #expect(until == now + 30)
    }
    // After that, scratch codes are throttled too.
    for _ in 0..<3 { #expect(try trial.check("12345678", hash: hash("a")) == refused) }
    if failures < 100 {
      var patient = try Trial(backupCodes: ["scratch-code \(hash("a"))"])
      patient.state = trial.state
      #expect(try patient.check("12345678", at: now + 30, hash: hash("a")) == .acceptedBackupCode(index: 0))
    }
    #expect(try trial.check("AAAAA-AAAAA", hash: hash("b")) == .acceptedBackupCode(index: 1))
    let guesses = trial.state.earlyGuesses
    #expect(guesses == 0)
  }

  @Test func onlyAGuessAtAScratchCodeCountsAsGuess() throws {
    var trial = try Trial(backupCodes: ["scratch-code \(hash("a"))"])
    // Without throttling it counts as a wrong code.
    #expect(try trial.check("12345678", hash: hash("x")) == .refused(.wrongCode(failures: 1)))
    trial.state.failures = 5
    trial.state.throttledUntil = now + 30
    // No guesses: a reply without a hash, ten characters, a code of a device, a spent scratch code.
    _ = try trial.check("12345678")
    _ = try trial.check("AAAAA-AAAAA", hash: hash("x"))
    _ = try trial.check(wrongCode())
    trial.state.spend(backupCodeAt: 0)
    #expect(try trial.check("12345678", hash: hash("a")) == .refused(.reusedBackupCode))
    let guesses = trial.state.earlyGuesses
    #expect(guesses == 0)
  }

  @Test func aServiceThatAllowsMoreFailuresDoesNotShortenTheWait() throws {
    var trial = try Trial()
    for _ in 1...8 {
      trial.state.throttledUntil = 0
      _ = try trial.check(wrongCode())
    }
    let until = trial.state.throttledUntil
    trial.limits.maximumFailures = 50
    _ = try trial.check(wrongCode())
    let untilThen = trial.state.throttledUntil
    #expect(until == now + 240)
    #expect(untilThen == until)
  }

  @Test func aCodeOutsideTheWindowNamesItsDevice() throws {
    var trial = try Trial(devices: [totpDevice(name: "tablet", secret: secret(2)), totpDevice()])
    #expect(try trial.check(code(steps: -5)) == .refused(.outsideWindow(steps: -5, device: 1)))
  }

  @Test(arguments: [-3000, -5, -1, 1, 5, 3000] as [Int64])
  func theWindowLiesAroundTheClockOfTheDevice(offset: Int64) throws {
    for steps in Int64(-25)...25 {
      var trial = try Trial(devices: [totpDevice(offset: offset)])
      let verdict = try trial.check(code(steps: offset + steps))
      switch steps {
      case -1...1:
        #expect(verdict == .acceptedCode(device: 0))
        let next = trial.state[device: 0].nextFactor
        #expect(next == UInt64(now / 30 + offset + steps + 1))
      case -20...20: #expect(verdict == .refused(.outsideWindow(steps: steps)))
      default: #expect(verdict == .refused(.wrongCode(failures: 1)))
      }
    }
  }

  @Test func aCodeOutsideTheWindowCounts() throws {
    var trial = try Trial()
    for _ in 0..<5 { #expect(try trial.check(code(steps: 5)) == .refused(.outsideWindow(steps: 5))) }
    #expect(try trial.check(code(steps: 0)) == .refused(.throttled(seconds: 30)))
  }

  @Test func settingTheClockBackDoesNotLengthenTheWait() throws {
    var trial = try Trial()
    for failures in 1...6 {
      #expect(
        try trial.check(wrongCode(), at: now + Int64(failures) * 100)
          == .refused(.wrongCode(failures: UInt32(failures))))
    }
    let past = now - 86_400 * 365
    #expect(try trial.check(code(steps: 0, at: past), at: past) == .refused(.throttled(seconds: 60)))
    #expect(try trial.check(code(steps: 0, at: past + 59), at: past + 59) == .refused(.throttled(seconds: 1)))
    #expect(try trial.check(code(steps: 0, at: past + 60), at: past + 60) == .acceptedCode(device: 0))
  }

  @Test(arguments: [1, 2, 100] as [UInt32]) func thePolicyLimitsFailures(allowed: UInt32) throws {
    var trial = try Trial()
    trial.limits.maximumFailures = allowed
    for failures in 1...allowed { #expect(try trial.check(wrongCode()) == .refused(.wrongCode(failures: failures))) }
    let next = try trial.check(wrongCode())
    #expect(next == (allowed == 100 ? .refused(.locked) : .refused(.throttled(seconds: 30))))
  }

  @Test func noStateTraps() throws {
    for failures in [0, 4, 5, 99, 100, UInt32.max] as [UInt32] {
      for until in [Int64.min, -1, 0, now, now + 30, Int64.max] as [Int64] {
        for time in [Int64.min, -1, 0, now, Int64.max] as [Int64] {
          var trial = try Trial()
          trial.state.failures = failures
          trial.state.throttledUntil = until
          _ = try trial.check(wrongCode(), at: time)
        }
      }
    }
  }

  @Test func onlyAChangedStateIsSaved() {
    let state = LoginState(generation: sampleGeneration)
    var cut = state
    cut.throttledUntil = 1
    var guessed = state
    guessed.earlyGuesses = 1
    #expect(Throttle.Standing(state) == Throttle.Standing(state))
    #expect(Throttle.Standing(cut) != Throttle.Standing(state))
    #expect(Throttle.Standing(guessed) != Throttle.Standing(state))
    for (verdict, expected) in [
      (.acceptedCode(device: 0), true), (.acceptedBackupCode(index: 0), true),
      (.refused(.wrongCode(failures: 1)), true), (.refused(.wrongBackupCode(failures: 1)), false),
      (.refused(.outsideWindow(steps: 3)), true), (.refused(.reusedCode), false),
      (.refused(.reusedBackupCode), false),
      (.refused(.throttled(seconds: 3)), false), (.refused(.locked), false),
    ] as [(Verdict, Bool)] {
      #expect(verdict.changesState == expected)
    }
  }
}

extension String {
  fileprivate init(format number: Int) { self = String(number) }
}
