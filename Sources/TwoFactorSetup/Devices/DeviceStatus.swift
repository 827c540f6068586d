import Enrollment
import HostAccess
import KeyFormats
import OneTimePassword
import Verification

/// A device without its secret, for `status` and `--json`.
struct DeviceStatus {
  let name: String
  /// For HOTP, contains the next counter.
  let kind: Device.Kind
  let algorithm: HashAlgorithm
  let digits: CodeDigits
  /// In time steps; negative if the device's clock is behind, 0 for HOTP.
  let clockOffset: Int64
  /// Unix time.
  let enabledAt: Int64
  /// Unix time of the last accepted code; nil if none.
  let lastUsedAt: Int64?

  /// The type, and everything that differs from the defaults: `time-based, 60 seconds, sha256, 8 digits, clock 2
  /// minutes behind`.
  var description: String {
    var parts: [String]
    switch kind {
    case .totp(DeviceDraft.defaultPeriod): parts = ["time-based"]
    case .totp(let period): parts = ["time-based", "\(period) seconds"]
    case .hotp: parts = ["counter-based"]
    }
    if algorithm != .sha1 { parts.append(algorithm.text) }
    if digits != .six { parts.append("\(digits.rawValue) digits") }
    if let (span, isBehind) = clockDifference { parts.append("clock \(span) \(isBehind ? "behind" : "ahead")") }
    return parts.joined(separator: ", ")
  }

  /// From the host's clock; nil if the clocks agree.
  var clockDifference: (span: String, isBehind: Bool)? {
    guard let period = kind.period, clockOffset != 0 else { return nil }
    return (Self.span(clockOffset, period: period), clockOffset < 0)
  }

  /// The length of time steps: `90 seconds`, `2 minutes`.
  static func span(_ steps: Int64, period: Int64) -> String {
    let seconds = Int64(clamping: steps.magnitude) * period
    return seconds < 120 ? "\(seconds) seconds" : "\((seconds + 30) / 60) minutes"
  }

  /// Whether `device resync` would find codes this many steps from the expected one.
  func isInReach(ofResync steps: Int64) -> Bool {
    kind.period == nil || (steps + clockOffset).magnitude <= ResyncReach.timeSteps
  }

  var json: JSONValue {
    .object([
      ("name", .string(name)), ("type", .string(kind.name)), ("algorithm", .string(algorithm.text)),
      ("digits", .number(Int64(digits.rawValue))), ("period", kind.period.map(JSONValue.number) ?? .null),
      ("enabled_at", .time(enabledAt)), ("last_used_at", .time(lastUsedAt)),
      ("offset_steps", kind.period == nil ? .null : .number(clockOffset)),
    ])
  }
}

extension DeviceStatus {
  /// Nil if out of range.
  init?(of credential: borrowing Credential, at index: Int, state: LoginState) {
    guard let device = credential.device(at: index) else { return nil }
    let (used, last) = (state[device: index].nextFactor, state[device: index].lastUsedAt)
    var kind = device.kind
    if case .hotp(let counter) = kind { kind = .hotp(counter: max(counter, used)) }
    self.init(
      name: String(decoding: credential.name(ofDeviceAt: index)), kind: kind, algorithm: device.algorithm,
      digits: device.digits, clockOffset: device.clockOffset, enabledAt: device.enabledAt,
      lastUsedAt: last > 0 ? last : nil)
  }

  init(_ draft: DeviceDraft) {
    self.init(
      name: draft.name, kind: draft.kind, algorithm: draft.algorithm, digits: draft.digits,
      clockOffset: draft.clockOffset, enabledAt: draft.enabledAt, lastUsedAt: draft.lastUsedAt)
  }
}
