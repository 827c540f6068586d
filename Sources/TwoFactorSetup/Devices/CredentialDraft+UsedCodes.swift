import Enrollment
import FixedMemory
import OneTimePassword

extension CredentialDraft {
  /// How far ahead of now a step is kept in use. What lies further ahead was used by a clock that was wrong, and a new
  /// enrolment is to end that.
  private static let furthestStep: UInt64 = 11

  /// The state to begin with where the draft takes the place of an enrolment: what was used up of the same keys and
  /// scratch codes there stays used up. What was only assumed, of a state that was lost, does not.
  ///
  /// - Parameters:
  ///   - state: The state to begin with otherwise.
  ///   - old: The enrolment that is replaced.
  ///   - scratchCodes: The eight-digit codes of which ``scratchCodeHashes`` are the hashes.
  ///   - now: Seconds since the epoch.
  /// - Returns: The state.
  /// - Throws: ``SetupError`` where there is no memory, or the host's libcrypt cannot hash.
  func state(
    _ state: LoginState, over old: borrowing LockedEnrollment, scratchCodes: [String], now: Int64
  ) throws -> LoginState {
    var state = state
    for (index, device) in devices.enumerated() {
      let secret = try device.secret()
      for other in 0..<old.credential.deviceCount {
        guard let kind = old.credential.device(at: other)?.kind,
          old.credential.secret(ofDeviceAt: other).isEqualInConstantTime(to: secret.bytes)
        else { continue }
        let next = old.state.value[device: other].nextFactor
        let used = Self.usedFactor(next, of: kind, asOne: device.parameters.kind, now: now)
        state[device: index].nextFactor = max(state[device: index].nextFactor, used)
      }
    }
    try spend(scratchCodes, of: old, in: &state)
    return state
  }

  /// The lowest factor that is good, as far as another device of the same key says; 0 where it says nothing.
  private static func usedFactor(
    _ next: UInt64, of old: Enrollment.Device.Kind, asOne new: Enrollment.Device.Kind, now: Int64
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
    // All of them are spent where the state was lost.
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
