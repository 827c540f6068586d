import Enrollment
import FixedMemory
import Glibc
import KeyFormats
import OneTimePassword

/// A device together with its key, as it is handed to the user.
struct DeviceKey {
  let parameters: DeviceParameters
  /// When it was enrolled, in seconds since the epoch.
  let enabledAt: Int64
  /// When a code of it was last accepted; nil for never.
  let lastUsedAt: Int64?
  /// The key in Base32.
  let key: String
  let uri: OTPAuthURI

  /// A device with a key that was made already.
  init(_ status: DeviceStatus, key: String, options: KeyOptions, session: Session) {
    parameters = status.parameters
    enabledAt = status.enabledAt
    lastUsedAt = status.lastUsedAt
    self.key = key
    uri = OTPAuthURI(
      device: parameters, key: key, issuer: session.issuer(options),
      account: options.account ?? OTPAuthURI.labelPart(session.account.nameText))
  }

  /// A new device with a new key.
  ///
  /// - Throws: ``SetupError`` where there is no randomness.
  init(new parameters: DeviceParameters, options: KeyOptions, session: Session, now: Int64) throws {
    let secret = try Randomness.bytes(count: parameters.keyLength)
    guard var text = SecretBuffer(capacity: 2 * parameters.keyLength), Base32.encode(secret.bytes, into: &text) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    self.init(
      DeviceStatus(parameters: parameters, enabledAt: now, lastUsedAt: nil), key: text.text, options: options,
      session: session)
  }

  /// The device as the credential keeps it.
  var draft: CredentialDraft.Device {
    CredentialDraft.Device(parameters: parameters, enabledAt: enabledAt, key: key)
  }

  /// The device as the status shows it.
  var status: DeviceStatus { DeviceStatus(parameters: parameters, enabledAt: enabledAt, lastUsedAt: lastUsedAt) }

  /// The key in groups of four, as a person types it.
  var groupedKey: String {
    var text = ""
    for (index, character) in key.enumerated() {
      if index > 0, index % 4 == 0 { text += " " }
      text.append(character)
    }
    return text
  }

  /// The object of `--json`, with the backup codes that were made with it.
  func json(_ session: Session, backupCodes: BackupCodes? = nil) -> JSONValue {
    var members: [(String, JSONValue)] = [
      ("user", .string(session.account.nameText)),
      ("directory", .string(session.store.directory)),
      ("device", status.json),
      ("secret", .string(key)),
      ("uri", .string(uri.text)),
    ]
    if let backupCodes { members.append(("backup_codes", .array(backupCodes.codes.map(JSONValue.string)))) }
    return .object(members)
  }
}

extension Session {
  /// A device that is to be enrolled: with a new key, or with the one that it has already and that is asked for.
  ///
  /// - Parameters:
  ///   - name: What it is called.
  ///   - code: How it makes its codes.
  ///   - key: How its key is shown.
  ///   - now: Seconds since the epoch.
  /// - Returns: The device.
  /// - Throws: ``SetupError``, with ``ExitStatus/unusableData`` where what was typed is no key; ``Interruption``.
  func newDevice(named name: String, _ code: CodeOptions, _ key: KeyOptions, now: Int64) throws -> DeviceKey {
    let parameters = code.parameters(name: name)
    guard code.askKey else { return try DeviceKey(new: parameters, options: key, session: self, now: now) }
    let line = try terminal.ask("Key of the device, in Base32 or hexadecimal: ", echo: false)
    do throws(FormatProblem) {
      let status = DeviceStatus(parameters: parameters, enabledAt: now, lastUsedAt: nil)
      return DeviceKey(status, key: try SharedKey.typed(line.bytes).base32, options: key, session: self)
    } catch {
      throw SetupError(.unusableData, error.message, hint: error.hint)
    }
  }

  /// Who asks for the code: as asked for, as the host is configured, or the name of the host.
  func issuer(_ options: KeyOptions) -> String {
    options.issuer ?? hostIssuer
  }

  /// Who asks for the code unless the command line says otherwise.
  var hostIssuer: String { settings.issuer ?? OTPAuthURI.labelPart(Self.hostName) }

  static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "localhost" }
    return String(terminated: name)
  }
}
