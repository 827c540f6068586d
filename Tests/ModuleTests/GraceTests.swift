import FixedMemory
import Testing

@testable import Enrollment

@Suite struct GraceTests {
  private let now: Int64 = 1_700_000_000

  private func key(_ last: UInt8, service: String = "sshd") -> GraceKey {
    let address = [UInt8](repeating: 0, count: 15) + [last]
    return GraceKey(service: Array(service.utf8).span, address: address.span)
  }

  private func uses(_ state: inout LoginState, _ key: GraceKey, now: Int64, period: Int64) -> Bool {
    state.usesGrace(key, now: now, period: period)
  }

  private var state: LoginState { LoginState(generation: sampleGeneration) }

  @Test func aGracePeriodIsBoundToAddressAndService() {
    var state = state
    state.beginGrace(key(1), now: now)
    #expect(uses(&state, key(1), now: now, period: 60))
    #expect(uses(&state, key(1), now: now + 59, period: 60))
    #expect(!uses(&state, key(1), now: now + 60, period: 60))
    #expect(!uses(&state, key(2), now: now, period: 60))
    #expect(!uses(&state, key(1, service: "su"), now: now, period: 60))
    #expect(!uses(&state, key(1), now: now, period: 0))
  }

  @Test func useDoesNotExtendAGracePeriod() {
    var state = state
    state.beginGrace(key(1), now: now)
    for later in 1..<60 { #expect(uses(&state, key(1), now: now + Int64(later), period: 60)) }
    #expect(!uses(&state, key(1), now: now + 60, period: 60))
  }

  @Test func settingTheClockBackEndsAGracePeriod() {
    var state = state
    state.beginGrace(key(1), now: now)
    #expect(!uses(&state, key(1), now: now - 1, period: 60))
    let drops = state.dropGrace(after: now - 1)
    #expect(drops)
    #expect(!uses(&state, key(1), now: now, period: 60))
    let dropsAgain = state.dropGrace(after: now - 1)
    #expect(!dropsAgain)
  }

  @Test func aNinthAddressReplacesTheOneUsedLongestAgo() {
    var state = state
    for number in UInt8(1)...8 { state.beginGrace(key(number), now: now) }
    #expect(uses(&state, key(1), now: now, period: 60))
    state.beginGrace(key(9), now: now)
    #expect(!uses(&state, key(2), now: now, period: 60))
    for number in [1, 3, 4, 5, 6, 7, 8, 9] as [UInt8] { #expect(uses(&state, key(number), now: now, period: 60)) }
  }

  @Test func anAddressIsStoredOnce() {
    var state = state
    for second in 0..<20 { state.beginGrace(key(1), now: now + Int64(second)) }
    let before = (0..<8).filter { state.grace(at: $0).passedAt != 0 }.count
    #expect(before == 1)
    state.beginGrace(key(2), now: now)
    // The last login is earlier than the others, whose address is dropped because its time is in the future.
    let entries = (0..<8).filter { state.grace(at: $0).passedAt != 0 }.count
    #expect(entries == 1)
    #expect(uses(&state, key(2), now: now, period: 60))
  }

  @Test func gracePeriodsAreStoredInTheRecord() throws {
    var state = state
    for number in UInt8(1)...8 { state.beginGrace(key(number), now: now) }
    var again = try #require(read(record: bytes(of: state, sequence: 1))).state
    for number in UInt8(1)...8 { #expect(uses(&again, key(number), now: now, period: 60)) }
  }
}
