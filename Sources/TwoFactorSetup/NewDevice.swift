import Enrollment
import FixedMemory
import Glibc
import OneTimePassword

/// A device that is about to be enrolled, with the key that was made for it.
struct NewDevice {
  let parameters: DeviceParameters
  /// When it is enrolled, in seconds since the epoch.
  let enabledAt: Int64
  /// The key in Base32.
  let key: String
  let uri: OTPAuthURI

  /// Makes a key for a device.
  ///
  /// - Throws: ``SetupError`` where there is no randomness, or where host and account have names that no URI
  ///   can hold.
  init(_ options: DeviceOptions, session: Session, now: Int64) throws {
    parameters = options.parameters
    enabledAt = now
    let secret = try Randomness.bytes(count: parameters.keyLength)
    guard var text = SecretBuffer(capacity: 2 * parameters.keyLength), Base32.encode(secret.bytes, into: &text) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    key = text.text
    uri = OTPAuthURI(
      device: parameters, key: key, issuer: session.issuer(options),
      account: options.account ?? OTPAuthURI.labelPart(session.account.nameText))
  }

  /// The device as the credential keeps it.
  var device: CredentialDraft.Device { CredentialDraft.Device(parameters: parameters, enabledAt: enabledAt, key: key) }

  /// The device as the status shows it.
  var status: DeviceStatus { DeviceStatus(parameters: parameters, enabledAt: enabledAt, lastUsedAt: nil) }

  /// The key in groups of four, as a person types it.
  var groupedKey: String {
    var text = ""
    for (index, character) in key.enumerated() {
      if index > 0, index % 4 == 0 { text += " " }
      text.append(character)
    }
    return text
  }

  /// What has to be chosen in the app besides the key.
  var description: String { status.description }
}

extension Session {
  /// Who asks for the code: as asked for, as the host is configured, or the name of the host.
  func issuer(_ options: DeviceOptions) -> String {
    options.issuer ?? hostIssuer
  }

  /// Who asks for the code unless the command line says otherwise.
  var hostIssuer: String { settings.issuer ?? OTPAuthURI.labelPart(Self.hostName) }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "localhost" }
    return String(terminated: name)
  }
}
