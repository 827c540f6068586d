import Enrollment
import OneTimePassword
import Testing

@testable import Verification

/// A moment in the middle of a time step of 30 seconds.
private let now: Int64 = 1_700_000_010

private let step = UInt64(now / 30)

private let rfc4226Secret = Array("12345678901234567890".utf8)

private func code(_ factor: UInt64, secret: [UInt8] = rfc4226Secret, digits: CodeDigits = .six) -> UInt32 {
  SharedSecret(secret.span, algorithm: .sha1)?.code(at: factor, digits: digits) ?? .max
}

/// An enrollment with devices to resynchronize.
private struct Trial: ~Copyable {
  var credential: Credential
  var state = LoginState(generation: sampleGeneration)
  var clockOffset: Int64 = 0
  var limits = VerificationLimits()

  init(_ devices: [String] = [totpDevice()]) throws {
    credential = try Credential(parsing: buffer(credentialText(devices: devices)))
  }

  mutating func resync(
    _ first: UInt32, _ second: UInt32, device index: Int = 0, at time: Int64 = now
  ) throws -> ResyncVerdict {
    try resynchronize(
      deviceAt: index, first, second, credential: credential, state: &state, clockOffset: &clockOffset, limits: limits,
      now: time)
  }

  /// Types the codes of a moving factor and of the next one.
  mutating func resync(from factor: UInt64, at time: Int64 = now) throws -> ResyncVerdict {
    try resync(code(factor), code(factor &+ 1), at: time)
  }

  /// Stores the clock offset that was found.
  mutating func store() throws {
    credential = try Credential(parsing: buffer(credentialText(devices: [totpDevice(offset: clockOffset)])))
  }

  mutating func login(_ factor: UInt64, at time: Int64 = now) throws -> Verdict {
    let digits = Array(String(code(factor) + 1_000_000).utf8.dropFirst())
    let none: [UInt8] = []
    return try verify(
      Reply(digits.span), hash: none.span, credential: credential, state: &state, limits: limits, now: time)
  }

  func next(_ index: Int = 0) -> UInt64 { state[device: index].nextFactor }
}

@Suite struct DeviceResyncTests {
  // MARK: The clock

  /// The second code is the one that the device shows now.
  @Test(arguments: [-20, -19, -2, -1, 0, 1, 2, 20, 21] as [Int64])
  func aClockThatIsOffIsFound(offset: Int64) throws {
    var trial = try Trial()
    trial.state.failures = 3
    let shown = UInt64(Int64(step) + offset)
    #expect(try trial.resync(from: shown - 1) == .found)
    let (found, next, failures) = (trial.clockOffset, trial.next(), trial.state.failures)
    let (usedAt, lastUsedAt) = (trial.state[device: 0].lastUsedAt, trial.state.lastUsedAt)
    #expect(found == offset)
    #expect(next == shown + 1)
    #expect(failures == 0)
    #expect((usedAt, lastUsedAt) == (now, now))
  }

  @Test(arguments: [-21, 22, -1000, 1000] as [Int64]) func aClockThatIsFurtherOffIsNotFound(offset: Int64) throws {
    var trial = try Trial()
    let shown = UInt64(Int64(step) + offset)
    #expect(try trial.resync(from: shown - 1) == .refused(.wrongCode(failures: 1)))
    let (found, next) = (trial.clockOffset, trial.next())
    #expect((found, next) == (0, 0))
  }

  /// Relative to the clock of the host, not to the offset so far.
  @Test func anEarlierOffsetDoesNotMoveTheSearch() throws {
    for (shown, verdict) in [
      (step - 18, ResyncVerdict.found), (step + 25, .refused(.wrongCode(failures: 1))),
    ] {
      var trial = try Trial([totpDevice(offset: 15)])
      #expect(try trial.resync(from: shown - 1) == verdict)
    }
  }

  @Test func aLoginIsInStepAfterward() throws {
    for offset in [Int64(-20), -7, 7, 20] {
      var trial = try Trial()
      let shown = UInt64(Int64(step) + offset)
      #expect(try trial.login(shown) == .refused(.outsideWindow(steps: offset)))
      #expect(try trial.resync(from: shown - 1) == .found)
      try trial.store()
      #expect(try trial.login(shown) == .refused(.reusedCode))
      #expect(try trial.login(shown - 1) == .refused(.reusedCode))
      #expect(try trial.login(shown + 1) == .acceptedCode(device: 0))
      #expect(try trial.login(shown + 20, at: now + 600) == .acceptedCode(device: 0))
      // The window is as wide as before.
      let device = trial.credential.device(at: 0)
      let range = try FactorRange(
        of: #require(device), state: trial.state[device: 0], limits: VerificationLimits(), now: now)
      #expect(range.map { $0.last - $0.first } == 2)
    }
  }

  @Test func usedCodesStayUsedIfTheClockIsSetBackOrForward() throws {
    for offset in [Int64(-20), -3, 3, 20] {
      var trial = try Trial()
      let shown = UInt64(Int64(step) + offset)
      #expect(try trial.resync(from: shown - 1) == .found)
      try trial.store()
      #expect(try trial.login(shown + 1) == .acceptedCode(device: 0))
      // All factors of both clocks.
      let highest = shown + 1
      for factor in (step - 25)...highest {
        var again = try Trial([totpDevice(offset: trial.clockOffset)])
        again.state = trial.state
        let verdict = try again.resync(from: factor)
        #expect(verdict != .found)
      }
      // Five minutes later, the phone's clock is right.
      let later = now + 300
      let verdict = try trial.resync(from: step + 9, at: later)
      let next = trial.next()
      if offset <= 3 {
        #expect(verdict == .found)
        #expect(next == step + 11)
      } else {
        #expect(verdict == .used(until: Int64(step + 22) * 30))
        #expect(next == step + 22)
        // The command works from then on.
        let then = Int64(step + 23) * 30
        #expect(try trial.resync(from: step + 22, at: then) == .found)
        let found = trial.clockOffset
        #expect(found == 0)
      }
    }
  }

  @Test func usedCodesAreRecognizedAndDoNotCount() throws {
    var trial = try Trial()
    trial.state[device: 0] = LoginState.DeviceState(nextFactor: step + 1)
    for first in [step - 1, step] {
      #expect(try trial.resync(from: first) == .used(until: first == step ? now / 30 * 30 : (now / 30 + 1) * 30))
    }
    let (next, failures) = (trial.next(), trial.state.failures)
    #expect((next, failures) == (step + 1, 0))
  }

  @Test func aClockBeforeTheEpochHasNoCodes() throws {
    var trial = try Trial()
    #expect(try trial.resync(from: 0, at: -1) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.resync(from: 0, at: Int64.min) == .refused(.wrongCode(failures: 2)))
  }

  @Test func theSearchBeginsAtTheEpoch() throws {
    for shown in [UInt64(1), 5, 26] {
      var trial = try Trial()
      #expect(try trial.resync(from: shown - 1, at: 150) == .found)
      let found = trial.clockOffset
      #expect(found == Int64(shown) - 5)
    }
    var trial = try Trial()
    #expect(try trial.resync(from: 26, at: 150) == .refused(.wrongCode(failures: 1)))
  }

  @Test func theLastMomentDoesNotOverflow() throws {
    var trial = try Trial()
    let last = UInt64(Int64.max / 30)
    #expect(try trial.resync(from: last - 1, at: Int64.max) == .found)
    #expect(try trial.resync(from: last - 1, at: Int64.max) != .found)
    trial.state[device: 0] = LoginState.DeviceState(nextFactor: UInt64.max)
    #expect(try trial.resync(from: last - 1, at: Int64.max) == .used(until: 0))
  }

  // MARK: The counter

  @Test(arguments: [0, 1, 10, 11, 999, 1000] as [UInt64]) func aCounterThatIsAheadIsFound(ahead: UInt64) throws {
    for (enrolled, next) in [(UInt64(0), UInt64(0)), (7, 0), (7, 50)] {
      var trial = try Trial([hotpDevice(counter: enrolled)])
      trial.state[device: 0] = LoginState.DeviceState(nextFactor: next)
      let first = max(enrolled, next) + ahead
      #expect(try trial.resync(from: first) == .found)
      let (found, after) = (trial.clockOffset, trial.next())
      #expect((found, after) == (0, first + 2))
      #expect(try trial.login(first + 1) == .refused(.reusedCode))
      #expect(try trial.login(first + 2) == .acceptedCode(device: 0))
    }
  }

  @Test func aCounterThatIsFurtherAheadIsNotFound() throws {
    var trial = try Trial([hotpDevice(counter: 7)])
    #expect(try trial.resync(from: 1008) == .refused(.wrongCode(failures: 1)))
    let next = trial.next()
    #expect(next == 0)
  }

  @Test func aUsedCounterIsNotFoundAgain() throws {
    var trial = try Trial([hotpDevice(counter: 7)])
    trial.state[device: 0] = LoginState.DeviceState(nextFactor: 60)
    for first in UInt64(40)...59 { #expect(try trial.resync(from: first) == .used(until: 0)) }
    // Neither earlier ones nor those before the enrollment are searched.
    #expect(try trial.resync(from: 39) == .refused(.wrongCode(failures: 1)))
    trial.state[device: 0] = LoginState.DeviceState(nextFactor: 9)
    #expect(try trial.resync(from: 7) == .used(until: 0))
    #expect(try trial.resync(from: 6) == .refused(.wrongCode(failures: 2)))
  }

  @Test func theHighestCounterDoesNotOverflow() throws {
    let highest = LoginState.highestCounter
    var trial = try Trial([hotpDevice(counter: highest - 1)])
    #expect(try trial.resync(from: highest) == .refused(.wrongCode(failures: 1)))
    #expect(try trial.resync(from: highest - 1) == .found)
    #expect(try trial.resync(from: highest - 1) == .refused(.wrongCode(failures: 1)))
    var single = try Trial([hotpDevice(counter: highest)])
    #expect(try single.resync(from: highest) == .refused(.wrongCode(failures: 1)))
  }

  // MARK: Both

  @Test func onlyConsecutiveCodesInOrderAreFound() throws {
    for device in [totpDevice(), hotpDevice(counter: step - 5)] {
      var trial = try Trial([device])
      #expect(try trial.resync(code(step), code(step + 2)) == .refused(.wrongCode(failures: 1)))
      #expect(try trial.resync(code(step), code(step + 1) ^ 1) == .refused(.wrongCode(failures: 2)))
      #expect(try trial.resync(code(step) ^ 1, code(step + 1)) == .refused(.wrongCode(failures: 3)))
      #expect(try trial.resync(code(step + 1), code(step)) == .wrongOrder(failures: 4))
      let (next, until) = (trial.next(), trial.state.throttledUntil)
      #expect((next, until) == (0, 0))
      _ = try trial.resync(code(step), code(step + 2))
      let throttled = trial.state.throttledUntil
      #expect(throttled == now + 30)
    }
  }

  @Test func onlyTheNamedDeviceIsSearchedAndMoved() throws {
    let twin = totpDevice(name: "tablet", secret: secret(2))
    for index in [0, 1] {
      var trial = try Trial([totpDevice(), twin])
      let key = index == 0 ? rfc4226Secret : [UInt8](repeating: 0, count: 19) + [2]
      let codes = (code(step + 4, secret: key), code(step + 5, secret: key))
      #expect(try trial.resync(codes.0, codes.1, device: 1 - index) == .refused(.wrongCode(failures: 1)))
      #expect(try trial.resync(codes.0, codes.1, device: index) == .found)
      let (moved, other) = (trial.next(index), trial.next(1 - index))
      #expect((moved, other) == (step + 6, 0))
    }
    var trial = try Trial()
    #expect(try trial.resync(code(step), code(step + 1), device: 1) == .noDevice)
  }

  @Test func aVerdictIsLoggedAsARefusal() {
    #expect(ResyncVerdict.found.loggedRefusal == nil)
    #expect(ResyncVerdict.wrongOrder(failures: 2).loggedRefusal == .wrongCode(failures: 2))
    #expect(ResyncVerdict.used(until: 0).loggedRefusal == .reusedCode)
    #expect(ResyncVerdict.sameCode.loggedRefusal == .malformedReply)
  }
}
