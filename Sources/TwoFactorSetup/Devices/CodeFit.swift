import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword
import Verification

/// Settings with which the key of a device generates the refused code now: the app ignored a parameter of the URI, or
/// the user typed the key into the app without it.
///
/// One or two settings differ. A wrong code fits a device by chance with a probability of at most 108 in a million: 26
/// combinations of algorithm and period with three time steps each, and three algorithms with ten counters each, with
/// codes of six digits.
struct CodeFit {
  /// The name of the device.
  let device: String
  private let settings: Settings
  private let own: Settings

  private struct Settings {
    var kind: Device.Kind
    var algorithm: HashAlgorithm
    var digits: CodeDigits

    /// The options of `enable`; without counters.
    var options: [[String]] {
      let period = kind.period.map { [["--period", "\($0)"]] } ?? []
      return [["--type", kind.name], ["--algorithm", algorithm.text], ["--digits", "\(digits.rawValue)"]] + period
    }
  }

  /// In seconds.
  private static let periods: [Int64] = [15, 20, 30, 45, 60, 90, 120, 300]

  /// Added to the next counter, or to 0 if the device is time-based: a new entry in an app counts from 0.
  private static let counters: [UInt64] = Array(0...9)

  /// The options that differ from the settings of the device, with their values.
  private var changes: [[String]] { settings.options.filter { !own.options.contains($0) } }

  /// The options of `device add` for a device with these settings.
  private var options: String {
    let usual = Settings(kind: .totp(period: DeviceDraft.defaultPeriod), algorithm: .sha1, digits: .six).options
    return settings.options.filter { !usual.contains($0) }.joined().map { " \($0)" }.joined()
  }

  /// For `enable` and `device add`. `arguments` are those of the command.
  func hint(repeating arguments: [String] = Invocation.arguments) -> String {
    "\(finding); to use that: \(Invocation.text(with: changes, of: arguments))"
  }

  /// For `import`.
  var hintOfImport: String {
    "\(finding); to use that, type the key at: twofactor enable --ask-key\(options)"
  }

  /// For `verify`.
  func hint(ofEnrolled userOption: String) -> String {
    "\(finding); to use that, add a device: twofactor device add\(userOption) NAME\(options); and remove this one: "
      + Invocation.text(ofDeviceCommand: "remove", device, userOption)
  }

  /// For the enrollment in a login, which has no options.
  var hintInLogin: String { "\(finding); correct the entry in the app" }

  private var finding: String { "this code fits \(changes.joined().joined(separator: " "))" }

  var json: JSONValue {
    .object([
      ("device", .string(device)), ("type", .string(settings.kind.name)),
      ("algorithm", .string(settings.algorithm.text)), ("digits", .number(Int64(settings.digits.rawValue))),
      ("period", settings.kind.period.map(JSONValue.number) ?? .null),
    ])
  }

  /// Searches the settings of all devices; nil if none fit. Settings with one difference precede those with two.
  static func search(
    for reply: borrowing Reply, _ credential: borrowing Credential, _ state: LoginState, now: Int64
  ) -> CodeFit? {
    for differences in 1...2 {
      for index in 0..<credential.deviceCount {
        guard let device = credential.device(at: index) else { continue }
        var own = Settings(kind: device.kind, algorithm: device.algorithm, digits: device.digits)
        if case .hotp(let counter) = own.kind {
          own.kind = .hotp(counter: max(counter, state[device: index].nextFactor))
        }
        let now = now + device.clockOffset * (device.kind.period ?? 0)
        for other in alternatives(to: own) {
          guard let typed = reply.code(other.digits),
            other.options.filter({ !own.options.contains($0) }).count == differences,
            let secret = SharedSecret(credential.secret(ofDeviceAt: index), algorithm: other.algorithm)
          else { continue }
          for factor in factors(of: other.kind, now: now)
          where secret.code(at: factor, digits: other.digits) == typed {
            return CodeFit(
              device: String(decoding: credential.name(ofDeviceAt: index)), settings: other, own: own)
          }
        }
      }
    }
    return nil
  }

  private static func alternatives(to own: Settings) -> [Settings] {
    var kinds = [own.kind] + periods.filter { $0 != own.kind.period }.map { Device.Kind.totp(period: $0) }
    if own.kind.period != nil { kinds.append(.hotp(counter: 0)) }
    let digits: [CodeDigits] = [.six, .eight]
    let algorithms: [HashAlgorithm] = [.sha1, .sha256, .sha512]
    return kinds.flatMap { kind in
      digits.flatMap { digits in
        algorithms.map { Settings(kind: kind, algorithm: $0, digits: digits) }
      }
    }
  }

  private static func factors(of kind: Device.Kind, now: Int64) -> [UInt64] {
    switch kind {
    case .hotp(let counter): counters.map { counter &+ $0 }
    case .totp(let period):
      TimeStep(at: now, period: period).map { [$0.rawValue, $0.rawValue &- 1, $0.rawValue &+ 1] } ?? []
    }
  }
}
