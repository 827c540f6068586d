import Enrollment
import FixedMemory
import OneTimePassword

/// A credential as the command puts it together, before it gets its generation and is written.
struct CredentialDraft {
  /// One device with its key.
  struct Device {
    let parameters: DeviceParameters
    /// When it was enrolled, in seconds since the epoch.
    let enabledAt: Int64
    /// The key in Base32.
    let key: String
  }

  /// When two-factor was switched on, in seconds since the epoch.
  let enabledAt: Int64
  let devices: [Device]
  /// The hashes of the backup codes, all under one salt.
  var backupCodeHashes: [String] = []

  /// The text of the credential.
  func encoded(generation: Generation) throws -> SecretBuffer {
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: enabledAt) else { throw Self.failure }
    for device in devices {
      guard var secret = SecretBuffer(capacity: device.key.utf8.count),
        Base32.decode(device.key.utf8.span, into: &secret)
      else { throw Self.failure }
      encoder.addDevice(
        kind: device.parameters.kind, algorithm: device.parameters.algorithm, digits: device.parameters.digits,
        enabledAt: device.enabledAt, secret: secret.bytes, name: device.parameters.name.utf8.span)
    }
    for hash in backupCodeHashes { encoder.addBackupCode(hash.utf8.span) }
    guard let text = encoder.finish() else { throw Self.failure }
    return text
  }

  static var failure: SetupError { SetupError(.inputOutput, "the credential cannot be put together") }
}

extension Generation {
  /// A new name for a version of a credential.
  static func random() throws -> Generation {
    let random = try Randomness.bytes(count: length)
    var bytes = InlineArray<16, UInt8>(repeating: 0)
    for index in bytes.indices { bytes[index] = random.bytes[index] }
    return Generation(bytes: bytes)
  }
}
