import Enrollment
import FixedMemory
import KeyFormats
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

    /// The key as bytes.
    func secret() throws -> SecretBuffer {
      guard var secret = SecretBuffer(capacity: key.utf8.count), Base32.decode(key.utf8.span, into: &secret) else {
        throw CredentialDraft.failure
      }
      return secret
    }
  }

  /// When two-factor was switched on, in seconds since the epoch.
  let enabledAt: Int64
  let devices: [Device]
  /// The hashes of the backup codes, all under one salt.
  var backupCodeHashes: [String] = []
  /// The hashes of eight-digit codes of another program, under the same salt.
  var scratchCodeHashes: [String] = []

  /// The text of the credential.
  func encoded(generation: Generation) throws -> SecretBuffer {
    guard var encoder = CredentialEncoder(generation: generation, enabledAt: enabledAt) else { throw Self.failure }
    for device in devices {
      let secret = try device.secret()
      encoder.addDevice(
        kind: device.parameters.kind, algorithm: device.parameters.algorithm, digits: device.parameters.digits,
        enabledAt: device.enabledAt, secret: secret.bytes, name: device.parameters.name.utf8.span)
    }
    for hash in scratchCodeHashes { encoder.addBackupCode(hash.utf8.span, isScratchCode: true) }
    for hash in backupCodeHashes { encoder.addBackupCode(hash.utf8.span) }
    return try encoder.finishReadable()
  }

  /// Reads a text as a login will.
  fileprivate static func checkReadable(_ text: borrowing SecretBuffer) throws {
    guard var copy = SecretBuffer(capacity: text.capacity), copy.append(text.bytes) else { throw failure }
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: copy)
    } catch {
      throw failure
    }
  }

  static var failure: SetupError { SetupError(.inputOutput, "the credential cannot be put together") }
}

extension CredentialEncoder {
  /// Ends the credential, and reads it as a login will: what cannot be read is never written.
  ///
  /// - Returns: Its text.
  /// - Throws: ``SetupError`` where something did not fit or was not allowed.
  consuming func finishReadable() throws -> SecretBuffer {
    guard let text = finish() else { throw CredentialDraft.failure }
    try CredentialDraft.checkReadable(text)
    return text
  }
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
