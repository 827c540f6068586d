import Enrollment
import HostAccess
import KeyFormats
import OneTimePassword

/// A device without its secret, for `status` and `--json`.
struct DeviceStatus {
  let name: String
  let kind: Device.Kind
  let algorithm: HashAlgorithm
  let digits: CodeDigits
  /// Unix time.
  let enabledAt: Int64
  /// Unix time of the last accepted code; nil if none.
  let lastUsedAt: Int64?

  /// Nil if out of range.
  init?(of credential: borrowing Credential, at index: Int, state: LoginState) {
    guard let device = credential.device(at: index) else { return nil }
    name = String(decoding: credential.name(ofDeviceAt: index))
    (kind, algorithm, digits, enabledAt) = (device.kind, device.algorithm, device.digits, device.enabledAt)
    let used = state[device: index].lastUsedAt
    lastUsedAt = used > 0 ? used : nil
  }

  init(_ draft: DeviceDraft) {
    (name, kind, algorithm, digits) = (draft.name, draft.kind, draft.algorithm, draft.digits)
    (enabledAt, lastUsedAt) = (draft.enabledAt, draft.lastUsedAt)
  }

  /// The type, and everything that differs from the defaults: `time-based, 60 seconds, sha256, 8 digits`.
  var description: String {
    var parts: [String]
    switch kind {
    case .totp(DeviceDraft.defaultPeriod): parts = ["time-based"]
    case .totp(let period): parts = ["time-based", "\(period) seconds"]
    case .hotp: parts = ["counter-based"]
    }
    if algorithm != .sha1 { parts.append(algorithm.text) }
    if digits != .six { parts.append("\(digits.rawValue) digits") }
    return parts.joined(separator: ", ")
  }

  var json: JSONValue {
    .object([
      ("name", .string(name)), ("type", .string(kind.name)), ("algorithm", .string(algorithm.text)),
      ("digits", .number(Int64(digits.rawValue))), ("period", kind.period.map(JSONValue.number) ?? .null),
      ("enabled_at", .time(enabledAt)), ("last_used_at", .time(lastUsedAt)),
    ])
  }
}
