import Enrollment
import Testing

@testable import Verification

@Suite struct GuessingChanceTests {
  private func limits(window: UInt64 = 1, lookAhead: UInt64 = 10) -> VerificationLimits {
    var limits = VerificationLimits()
    (limits.window, limits.lookAhead) = (window, lookAhead)
    return limits
  }

  private func percent(_ chance: Double) -> Double { (chance * 1_000_000).rounded() / 10_000 }

  /// The figures of security.md.
  @Test func theChanceUnderTheDefaultsIsKnownForEachKind() {
    let chance = GuessingChance(VerificationLimits())
    #expect(GuessingChance.guesses == 100)
    #expect(chance.guessesWithoutWait == 5)
    #expect(percent(chance.ofCodes(clocks: 1)) == 0.03)
    #expect(percent(chance.ofCodes(clocks: 8)) == 0.24)
    #expect(percent(chance.ofCodes(clocks: 0, counters: 1)) == 0.11)
    #expect(percent(chance.ofCodes(clocks: 0, counters: 8)) == 0.88)
    #expect(percent(chance.ofCodes(clocks: 1, counters: 1)) == 0.14)
    #expect(percent(chance.ofCodes(clocks: 1, digits: 8)) == 0.0003)
    #expect(percent(chance.ofCodes(clocks: 0, counters: 1, digits: 8)) == 0.0011)
    #expect(percent(GuessingChance.ofScratchCodes(10)) == 0.002)
    // A thousand guesses a second for a year.
    let year = GuessingChance.ofBackupCodes(10, guesses: 1_000 * 86_400 * 365)
    #expect((0.000_27...0.000_29).contains(year))
  }

  /// The figures of security.md. A correct pair in the wrong order is recognized too.
  @Test func theChanceToResynchronizeIsFarBelowThatOfACode() throws {
    let (counter, clock) = (
      GuessingChance.ofResync(isCounterBased: true), GuessingChance.ofResync(isCounterBased: false)
    )
    #expect((1.9e-7...2.1e-7).contains(counter))
    #expect((8.3e-9...8.5e-9).contains(clock))
    #expect(GuessingChance.ofResync(isCounterBased: true, digits: 8) < 1e-10)
    for (line, isCounterBased, state) in [(totpDevice(), false, UInt64(0)), (hotpDevice(counter: 100), true, 150)] {
      let credential = try Credential(parsing: buffer(credentialText(devices: [line])))
      guard let device = credential.device(at: 0) else { throw Missing(what: "a device") }
      let range = try #require(
        ResyncRange(of: device, LoginState.DeviceState(nextFactor: state), now: 1_700_000_000))
      // The first code of a pair is at most the last factor but one.
      let pairs = range.last - max(range.first, range.next)
      let chance = Double(2 * GuessingChance.guesses) * Double(pairs) / 1e12
      #expect(abs(GuessingChance.ofResync(isCounterBased: isCounterBased) - chance) < 1e-15)
    }
  }

  @Test func theKindThatIsEasierToGuessCounts() {
    #expect(percent(GuessingChance(limits(window: 10)).ofCodes(devices: 8)) == 1.68)
    #expect(percent(GuessingChance(limits(lookAhead: 100)).ofCodes(devices: 8)) == 8.08)
    #expect(percent(GuessingChance(limits(window: 0, lookAhead: 1)).ofCodes(devices: 8)) == 0.16)
  }

  /// The verifier compares a guess with as many codes as the formula assumes.
  @Test func theVerifierAcceptsAsManyCodesAsTheFormulaCounts() throws {
    let now: Int64 = 1_700_000_000
    let sizes = [Int](0...10).map { ($0, UInt64($0)) } + [(1, 100), (1, 50)]
    for (window, lookAhead) in sizes {
      let limits = limits(window: UInt64(window), lookAhead: max(lookAhead, 1))
      let chance = GuessingChance(limits)
      for (line, expected) in [
        (totpDevice(), chance.codesOfClock), (hotpDevice(counter: 100), chance.codesOfCounter),
      ] {
        let credential = try Credential(parsing: buffer(credentialText(devices: [line])))
        guard let device = credential.device(at: 0) else { throw Missing(what: "a device") }
        // After an earlier code, whose counter is searched again but not accepted.
        let used = device.kind == .totp(period: 30) ? 0 : UInt64(150)
        let state = LoginState.DeviceState(nextFactor: used, lastUsedAt: now - 3600)
        let range = try #require(FactorRange(of: device, state: state, limits: limits, now: now))
        #expect(Int(range.last - max(range.first, range.next) + 1) == expected)
      }
    }
  }
}
