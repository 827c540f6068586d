import FixedMemory
import OneTimePassword
import Testing

@testable import Enrollment

/// Files as earlier versions wrote them. Later versions must read them, so extend these tests when a format changes, but
/// never change them.
@Suite struct EarlierFilesTests {
  @Test func aCredentialOfTheFirstVersionIsRead() throws {
    let text = """
      twofactor-credential 1
      generation 000102030405060708090a0b0c0d0e0f
      enabled 1700000000
      device type=totp algorithm=sha1 digits=6 period=30 enabled=1700000000 secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ name=phone
      device type=hotp algorithm=sha512 digits=8 counter=7 enabled=1700000001 secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJR name=old token
      backup-code $y$j9T$abcdefgh$ijklmnop
      scratch-code $y$j9T$abcdefgh$qrstuvwx
      end

      """
    let credential = try Credential(parsing: buffer(text))
    #expect(credential.generation == sampleGeneration)
    #expect(credential.enabledAt == 1_700_000_000)
    let kinds = (0..<credential.deviceCount).map { credential.device(at: $0)?.kind }
    #expect(kinds == [.totp(period: 30), .hotp(counter: 7)])
    let token = credential.device(at: 1)
    #expect(token?.digits == .eight && token?.enabledAt == 1_700_000_001)
    let name = credential.name(ofDeviceAt: 1).string
    #expect(name == "old token")
    let areScratchCodes = (0..<credential.backupCodeCount).map { credential.isScratchCode(at: $0) }
    #expect(areScratchCodes == [false, true])
  }

  @Test func aStateOfTheFirstVersionIsRead() throws {
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.replaceSubrange(0..<8, with: "2FASTATE".utf8)
    bytes.replaceSubrange(24..<40, with: 0...15)
    let numbers: [Int: UInt64] = [
      8: 1 | 1024 << 32, 16: 5, 40: 3, 48: 1_700_000_900, 56: 0b101, 64: 1_700_000_100, 72: 1_700_000_200,
      128: 56_666_673, 136: 1_700_000_200, 144: 42, 152: 1_700_000_150,
      384: 0x1122_3344_5566_7788, 400: 0xffff_c000_0207, 408: 1_700_000_200, 1016: 0x7d78_26f3_dd9b_c96e,
    ]
    for (offset, number) in numbers {
      for byte in 0..<8 { bytes[offset + byte] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(byte))) }
    }
    let (sequence, state) = try #require(read(record: bytes))
    #expect(sequence == 5)
    #expect(state.generation == sampleGeneration)
    #expect(state.failures == 3)
    #expect(state.throttledUntil == 1_700_000_900)
    #expect(state.spentBackupCodes == 0b101)
    #expect(state.backupCodeUsedAt == 1_700_000_100)
    #expect(state.lastUsedAt == 1_700_000_200)
    #expect(state[device: 0].nextFactor == 56_666_673)
    #expect(state[device: 1].nextFactor == 42)
    #expect(state[device: 1].lastUsedAt == 1_700_000_150)
    var remembered = state
    let key = GraceKey(service: 0x1122_3344_5566_7788, highAddress: 0, lowAddress: 0xffff_c000_0207)
    let isRemembered = remembered.usesGrace(key, now: 1_700_000_201, period: 10)
    #expect(isRemembered)
  }
}
