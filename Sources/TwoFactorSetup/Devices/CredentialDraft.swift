import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword

/// A new credential before it is written.
struct CredentialDraft {
  /// Seconds since the epoch.
  let enabledAt: Int64
  let devices: [DeviceDraft]
  /// The hashes of the backup codes, under one salt.
  var backupCodeHashes: [String] = []
  /// The hashes of imported scratch codes, under the same salt.
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
  /// Used steps up to this far ahead of now stay used. Those beyond came from a wrong clock; a new enrollment clears
  /// them.
  private static let furthestStep: UInt64 = 11

  /// The first state if the draft replaces an enrollment. Used codes of the same keys, and used scratch codes, stay used,
  /// except those that only count as used because a state was lost.
  ///
  /// - Parameters:
  ///   - state: The first state otherwise.
  ///   - old: The replaced enrollment.
  ///   - scratchCodes: The codes of ``scratchCodeHashes``.
  ///   - now: Seconds since the epoch.
  /// - Returns: The first state.
  /// - Throws: ``SetupError`` if out of memory, or if libcrypt cannot hash.
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

  /// The lowest unused factor of a device, given the one of another device with the same key; 0 if unknown.
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
    // After the loss of a state all codes count as spent.
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
  /// Finishes the credential, and parses it as a login will: an invalid credential is never written.
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
