import Enrollment
import FixedMemory
import HostAccess
import KeyFormats

/// The devices and backup codes of a change. Both may be empty.
struct CredentialDraft {
  /// Unix time.
  var enabledAt: Int64 = 0
  var devices: [DeviceDraft] = []
  /// Under one salt.
  var backupCodeHashes: [String] = []
  /// Under the same salt.
  var scratchCodeHashes: [String] = []

  static var failure: SetupError { SetupError(.inputOutput, "cannot encode the credential") }

  /// A credential file of the generation zero.
  func encoded() throws -> SecretBuffer {
    let zero = Generation(bytes: InlineArray(repeating: 0))
    guard var encoder = CredentialEncoder(generation: zero, enabledAt: enabledAt) else { throw Self.failure }
    for device in devices { encoder.add(device) }
    for hash in scratchCodeHashes { encoder.addBackupCode(hash.utf8.span, isScratchCode: true) }
    for hash in backupCodeHashes { encoder.addBackupCode(hash.utf8.span) }
    guard let text = encoder.finish() else { throw Self.failure }
    return text
  }

  /// A change that adds the draft; `states` are those of the devices.
  func change(
    states: [LoginState.DeviceState] = [], keepsDevices: Bool = false, keepsBackupCodes: Bool = false,
    removedDevice: String = ""
  ) throws -> EnrollmentChange {
    let text = try encoded()
    guard
      var change = EnrollmentChange(
        adding: text.bytes, keepsDevices: keepsDevices, keepsBackupCodes: keepsBackupCodes,
        removedDevice: removedDevice.utf8.span)
    else { throw SetupError.outOfMemory }
    for state in states { guard change.add(state) else { throw Self.failure } }
    return change
  }
}
