import Enrollment
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import OneTimePassword

extension DeviceDraft {
  /// The device with this status.
  init(_ status: DeviceStatus, of credential: borrowing Credential) throws {
    guard let index = credential.index(ofDeviceNamed: status.name) else { throw SetupError.noDevice(status.name) }
    let secret = credential.secret(ofDeviceAt: index)
    guard var bytes = SecretBuffer(capacity: secret.count), bytes.append(secret) else { throw SetupError.outOfMemory }
    self.init(
      name: status.name, key: try SharedKey(bytes), kind: status.kind, algorithm: status.algorithm,
      digits: status.digits)
    clockOffset = status.clockOffset
    enabledAt = status.enabledAt
    lastUsedAt = status.lastUsedAt
  }

  var groupedKey: String {
    var text = ""
    for (index, character) in key.base32.enumerated() {
      if index > 0, index % 4 == 0 { text += " " }
      text.append(character)
    }
    return text
  }
}

extension Session {
  /// A device with a random key, or with `--ask-key` a typed one. An invalid key throws ``ExitStatus/unusableData``.
  /// `now` is Unix time.
  func newDevice(named name: String, _ code: CodeOptions, _ key: KeyOptions, now: Int64) throws -> DeviceDraft {
    let secret: SharedKey
    do {
      if code.askKey {
        let line = try terminal.ask("Key of the device, in Base32, hexadecimal or Base64: ", echo: false)
        secret = try SharedKey.typed(line.bytes)
      } else {
        // RFC 4226 section 4, RFC 6238 section 5.1: as long as the hash.
        secret = try SharedKey(Randomness.bytes(count: code.hashAlgorithm.digestLength))
      }
    } catch let problem as FormatProblem {
      throw SetupError(.unusableData, problem.message, hint: problem.hint)
    }
    var device = code.draft(name: name, key: secret)
    device.enabledAt = now
    return labeled(device, key)
  }

  /// Adds issuer and account label. Options override imported values.
  func labeled(_ device: DeviceDraft, _ options: KeyOptions) -> DeviceDraft {
    var device = device
    device.issuer = options.issuer ?? device.issuer ?? hostIssuer
    device.account = options.account ?? device.account ?? OTPAuthURI.labelPart(account.nameText)
    return device
  }

  func json(of device: DeviceDraft, backupCodes: BackupCodes? = nil) -> JSONValue {
    var members: [(String, JSONValue)] = [
      ("user", .string(account.nameText)), ("directory", .string(store.directory)),
      ("device", DeviceStatus(device).json), ("secret", .string(device.key.base32)), ("uri", .string(device.uri)),
    ]
    if let backupCodes { members.append(("backup_codes", .array(backupCodes.codes.map(JSONValue.string)))) }
    members.append(("services", services().json))
    return .object(members)
  }

  /// The default of `--issuer`.
  var hostIssuer: String { settings.issuer ?? OTPAuthURI.labelPart(Self.hostName) }

  static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    // SAFETY: gethostname(2) does not write the last byte, which stays NUL.
    guard unsafe gethostname(&name, name.count - 1) == 0, name[0] != 0 else { return "localhost" }
    return String(terminated: name)
  }
}
