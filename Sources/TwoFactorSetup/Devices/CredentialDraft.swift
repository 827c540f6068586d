import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword

struct CredentialDraft {
  /// Unix time.
  let enabledAt: Int64
  let devices: [DeviceDraft]
  /// Under one salt.
  var backupCodeHashes: [String] = []
  /// Under the same salt.
  var scratchCodeHashes: [String] = []

  static var failure: SetupError { SetupError(.inputOutput, "cannot encode the credential") }

  func encoded(generation: Generation) throws -> SecretBuffer {
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: enabledAt) else { throw Self.failure }
    for device in devices { encoder.add(device) }
    for hash in scratchCodeHashes { encoder.addBackupCode(hash.utf8.span, isScratchCode: true) }
    for hash in backupCodeHashes { encoder.addBackupCode(hash.utf8.span) }
    return try encoder.finishReadable()
  }

  fileprivate static func checkReadable(_ text: borrowing SecretBuffer) throws {
    guard var copy = SecretBuffer(capacity: text.capacity), copy.append(text.bytes) else { throw failure }
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: copy)
    } catch {
      throw failure
    }
  }
}

extension CredentialDraft {
  /// Used steps stay used up to this many steps ahead of now. Later ones came from a wrong clock.
  private static let furthestStep: UInt64 = 11

  /// Marks codes as used if the replaced enrollment did: those of devices with the same key, and scratch codes. Ignores
  /// codes that count as used only because a state was lost.
  ///
  /// - Parameters:
  ///   - state: The state before that.
  ///   - old: The replaced enrollment.
  ///   - scratchCodes: The codes behind ``scratchCodeHashes``.
  ///   - now: Unix time.
  /// - Returns: The first state.
  /// - Throws: ``SetupError`` if memory is short, or libcrypt cannot hash.
  func state(
    _ state: LoginState, over old: borrowing LockedEnrollment, scratchCodes: [String], now: Int64
  ) throws -> LoginState {
    var state = state
    for (index, device) in devices.enumerated() {
      for other in 0..<old.credential.deviceCount {
        guard let kind = old.credential.device(at: other)?.kind,
          device.key.isEqual(to: old.credential.secret(ofDeviceAt: other))
        else { continue }
        let next = old.state.value[device: other].nextFactor
        let used = Self.usedFactor(next, of: kind, asOne: device.kind, now: now)
        state[device: index].nextFactor = max(state[device: index].nextFactor, used)
      }
    }
    try spend(scratchCodes, of: old, in: &state)
    return state
  }

  /// The lowest unused factor of the device `new`, from that of `old`, which has the same key; 0 if unknown.
  private static func usedFactor(
    _ next: UInt64, of old: Device.Kind, asOne new: Device.Kind, now: Int64
  ) -> UInt64 {
    switch (old, new) {
    case (.totp(let period), .totp(let newPeriod)):
      guard period == newPeriod, let step = TimeStep(at: now, period: period) else { return 0 }
      return min(next, step.rawValue + furthestStep)
    case (.hotp, .hotp): return next <= LoginState.highestCounter ? next : 0
    default: return 0
    }
  }

  private func spend(_ codes: [String], of old: borrowing LockedEnrollment, in state: inout LoginState) throws {
    let setting = old.credential.backupCodeSetting()
    // If a state was lost, all codes count as spent.
    guard setting.count > 0, old.state.value.spentBackupCodes != UInt32.max else { return }
    for (index, code) in codes.enumerated() {
      guard var hash = SecretBuffer(capacity: BackupCodeHash.lengths.upperBound + 1),
        BackupCodeHash.make(code.utf8.span, setting: setting, into: &hash)
      else { throw Self.failure }
      for other in 0..<old.credential.backupCodeCount where old.state.value.isSpent(backupCodeAt: other) {
        guard old.credential.backupCodeHash(at: other).isEqualInConstantTime(to: hash.bytes) else { continue }
        state.spend(backupCodeAt: index)
      }
    }
  }
}

extension CredentialEncoder {
  /// Parses the credential as a login will, so that no invalid one is written.
  consuming func finishReadable() throws -> SecretBuffer {
    guard let text = finish() else { throw CredentialDraft.failure }
    try CredentialDraft.checkReadable(text)
    return text
  }
}

extension Generation {
  static func random() throws -> Generation {
    let random = try Randomness.bytes(count: length)
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for index in bytes.indices { bytes[index] = random.bytes[index] }
    return Generation(bytes: bytes)
  }
}
