import FixedMemory
import Testing

@testable import Enrollment

@Suite struct LoginStateTests {
  private var sample: LoginState {
    var state = LoginState(generation: sampleGeneration)
    state.failures = 0xfedc_ba98
    state.throttledUntil = Int64.max
    state.backupCodeUsedAt = -1
    state.lastUsedAt = 1_700_000_001
    state.earlyGuesses = 0x8765_4321
    state.spend(backupCodeAt: 0)
    state.spend(backupCodeAt: 31)
    for index in 0..<16 {
      state[device: index] = LoginState.DeviceState(
        nextFactor: UInt64.max - UInt64(index), lastUsedAt: Int64.min + Int64(index))
    }
    return state
  }

  @Test func aRecordIsReadAsItWasWritten() throws {
    let record = try #require(read(record: bytes(of: sample, sequence: 77)))
    #expect(record.sequence == 77)
    #expect(try bytes(of: record.state, sequence: 77) == bytes(of: sample, sequence: 77))
    #expect(record.state.failures == 0xfedc_ba98)
    #expect(record.state.earlyGuesses == 0x8765_4321)
    #expect(record.state.spentBackupCodes == 0x8000_0001)
    #expect(record.state[device: 15].nextFactor == UInt64.max - 15)
    #expect(record.state[device: 15].lastUsedAt == Int64.min + 15)
  }

  @Test func everyFlippedBitIsDetected() throws {
    let original = try bytes(of: sample, sequence: 77)
    for index in original.indices {
      for bit in 0..<8 {
        var changed = original
        changed[index] ^= 1 << bit
        #expect(read(record: changed) == nil, "bit \(bit) of byte \(index)")
      }
    }
  }

  @Test func aRecordOfWrongLengthOrOfZerosIsInvalid() throws {
    let original = try bytes(of: sample, sequence: 1)
    for length in [0, 1, 8, 1016, 1023] { #expect(read(record: Array(original[..<length])) == nil) }
    #expect(read(record: original + [0]) == nil)
    #expect(read(record: [UInt8](repeating: 0, count: 1024)) == nil)
    #expect(read(record: [UInt8](repeating: 0xff, count: 1024)) == nil)
  }

  @Test func outOfRangeIndicesCountAsUsed() {
    var state = LoginState(generation: sampleGeneration)
    for index in [-1, 16, Int.min, Int.max] {
      state[device: index].nextFactor = 5
      #expect(state[device: index].nextFactor == UInt64.max)
    }
    for index in [-1, 32, Int.min, Int.max] {
      state.spend(backupCodeAt: index)
      #expect(state.isSpent(backupCodeAt: index))
    }
    #expect(state.spentBackupCodes == 0)
  }

  @Test func afterALossAllCodesCountAsUsed() throws {
    let credential = try Credential(
      parsing: buffer(
        credentialText(
          devices: [
            totpDevice(), totpDevice(period: 60, name: "slow", secret: secret(2)),
            hotpDevice(secret: secret(3)),
          ],
          backupCodes: ["backup-code \(hash("a"))"])))
    var state = LoginState(generation: sampleGeneration)
    state.assumeLoss(of: credential, now: 1_700_000_000, window: 1, failures: 4)
    let left = state.backupCodesLeft(of: credential)
    #expect(left == 0)
    #expect(state[device: 0].nextFactor == 1_700_000_000 / 30 + 2)
    #expect(state[device: 1].nextFactor == 1_700_000_000 / 60 + 2)
    #expect(state[device: 2].nextFactor == UInt64.max)
    #expect(state.failures == 4)
  }

  @Test(arguments: [-20, 20] as [Int64]) func aLossUsesUpTheCodesOfAClockThatIsOff(offset: Int64) throws {
    let credential = try Credential(parsing: buffer(credentialText(devices: [totpDevice(offset: offset)])))
    var state = LoginState(generation: sampleGeneration)
    state.assumeLoss(of: credential, now: 1_700_000_000, window: 1, failures: 4)
    #expect(Int64(state[device: 0].nextFactor) == 1_700_000_000 / 30 + offset + 2)
  }

  @Test func aLossKeepsUsedCodesAndFailures() throws {
    let credential = try Credential(parsing: buffer(credentialText()))
    var state = LoginState(generation: sampleGeneration)
    state.failures = 60
    state.throttledUntil = 1_700_000_900
    state.lastUsedAt = 1_700_086_400
    state[device: 0].nextFactor = 1_700_086_400 / 30 + 1
    // The clock is a day behind the last login.
    state.assumeLoss(of: credential, now: 1_700_000_000, window: 1, failures: 4)
    #expect(state.failures == 60)
    #expect(state.throttledUntil == 1_700_000_900)
    #expect(state[device: 0].nextFactor == 1_700_086_400 / 30 + 2)
    // A clock that was never set is earlier than the enrollment.
    var early = LoginState(generation: sampleGeneration)
    early.assumeLoss(of: credential, now: -5, window: 1, failures: 4)
    #expect(early[device: 0].nextFactor == 1_700_000_000 / 30 + 2)
  }
}
