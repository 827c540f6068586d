import Enrollment
import KeyFormats
import OneTimePassword

/// What is told about a device.
struct DeviceStatus {
  let parameters: DeviceParameters
  /// When it was enrolled, in seconds since the epoch.
  let enabledAt: Int64
  /// When a code of it was last accepted; nil for never.
  let lastUsedAt: Int64?

  /// The device at a place of a credential; nil where there is none.
  init?(of credential: borrowing Credential, at index: Int, state: LoginState) {
    guard let device = credential.device(at: index) else { return nil }
    let used = state[device: index].lastUsedAt
    self.init(
      parameters: DeviceParameters(
        name: String(decoding: credential.name(ofDeviceAt: index)), kind: device.kind,
        algorithm: device.algorithm, digits: device.digits),
      enabledAt: device.enabledAt, lastUsedAt: used > 0 ? used : nil)
  }

  /// A device as it is described.
  init(parameters: DeviceParameters, enabledAt: Int64, lastUsedAt: Int64?) {
    self.parameters = parameters
    self.enabledAt = enabledAt
    self.lastUsedAt = lastUsedAt
  }

  /// The type and what differs from the usual, in words: `time based, 60 seconds, sha256, 8 digits`.
  var description: String {
    var parts: [String]
    switch parameters.kind {
    case .totp(DeviceParameters.defaultPeriod): parts = ["time based"]
    case .totp(let period): parts = ["time based", "\(period) seconds"]
    case .hotp: parts = ["counter based"]
    }
    if parameters.algorithm != .sha1 { parts.append(parameters.algorithm.text) }
    if parameters.digits != .six { parts.append("\(parameters.digits.rawValue) digits") }
    return parts.joined(separator: ", ")
  }

  /// The object of `--json`.
  var json: JSONValue {
    .object([
      ("name", .string(parameters.name)),
      ("type", .string(parameters.kind.name)),
      ("algorithm", .string(parameters.algorithm.text)),
      ("digits", .number(Int64(parameters.digits.rawValue))),
      ("period", parameters.kind.period.map(JSONValue.number) ?? .null),
      ("enabled_at", .time(enabledAt)),
      ("last_used_at", .time(lastUsedAt)),
    ])
  }
}
