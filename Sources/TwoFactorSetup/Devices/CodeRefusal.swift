import Enrollment
import HelperProtocol
import HostAccess
import Verification

struct CodeRefusal {
  /// Lower case, no full stop.
  let message: String
  private(set) var hint: String?

  /// `period` is in seconds; nil for HOTP, or if unknown. `resync` is the command that resynchronizes the device; nil
  /// if it does not help.
  init(_ refusal: Refusal, period: Int64?, resync: String? = nil) {
    switch refusal {
    case .noReply: message = "no code was typed"
    case .malformedReply:
      (message, hint) = ("this is not a code", "a code has 6 or 8 digits, a backup code 10 characters")
    case .wrongCode: (message, hint) = ("wrong code", resync.map { "if the device is out of step: \($0)" })
    case .wrongBackupCode: message = "wrong code"
    case .outsideWindow(let steps, _): (message, hint) = Self.outsideWindow(steps, period: period, resync: resync)
    case .reusedCode: (message, hint) = ("this code was already used", "wait for the next one")
    case .reusedBackupCode: (message, hint) = ("this backup code was already used", "use another one")
    case .throttled(let seconds):
      (message, hint) = ("too many failed codes", "try again in \(seconds) seconds, or use a backup code")
    case .locked:
      message = "too many failed codes; app codes are locked"
      hint = "use a backup code, or ask the administrator to run: twofactor unlock --user NAME"
    }
  }

  init(_ problem: Reply.Problem) {
    if let refusal = problem.refusal {
      self.init(refusal, period: nil)
    } else {
      self.init(SetupError.outOfMemory.message)
    }
  }

  private init(_ message: String) { self.message = message }

  func withHint(_ hint: String) -> CodeRefusal {
    var refusal = self
    refusal.hint = hint
    return refusal
  }

  private static func outsideWindow(_ steps: Int64, period: Int64?, resync: String?) -> (String, String?) {
    guard let period else {
      let direction = steps < 0 ? "behind" : "ahead of"
      return (
        "this code is \(steps.magnitude) counters \(direction) the expected one",
        resync.map { "resynchronize the counter: \($0)" } ?? "type the next code that the device shows"
      )
    }
    return (
      "this code is right, but \(DeviceStatus.span(steps, period: period)) \(steps < 0 ? "late" : "early")",
      "type a code as soon as it is shown; if that does not help, set the phone's clock to automatic and check this "
        + "host's clock with: timedatectl" + (resync.map { "; or store the difference: \($0)" } ?? "")
    )
  }

  /// Before the next prompt.
  var line: String { error.sentences }

  var error: SetupError { SetupError(.refused, message, hint: hint) }
}

/// Refusals by the codes of an enrollment, with the command that helps.
extension EnrollmentStore {
  func refusal(_ refused: Refusal, by credential: borrowing Credential, _ state: LoginState) -> CodeRefusal {
    let devices = (0..<credential.deviceCount).compactMap { DeviceStatus(of: credential, at: $0, state: state) }
    guard case .outsideWindow(let steps, let index) = refused, devices.indices.contains(index) else {
      // No time-based devices: the login check already searched their codes as far as `device resync` does.
      return CodeRefusal(refused, period: nil, resync: resync(ofOneOf: devices.filter { $0.kind.period == nil }))
    }
    return refusal(refused, steps, of: devices[index])
  }

  /// A refusal by the helper, which reports only late codes as outside the window.
  func refusal(_ refused: Refusal, _ checked: borrowing CheckedCode) -> CodeRefusal {
    switch refused {
    case .outsideWindow(let steps, _):
      let name = String(decoding: checked.deviceName.bytes)
      guard let device = devices.first(where: { $0.name == name }) else {
        return CodeRefusal(refused, period: checked.onlyPeriod)
      }
      return refusal(refused, steps, of: device)
    case .wrongCode: return CodeRefusal(refused, period: nil, resync: resync(ofOneOf: devices))
    default: return CodeRefusal(refused, period: nil)
    }
  }

  /// Empty if the helper fails, because the refusal of the code matters more.
  private var devices: [DeviceStatus] { (try? helper?.report())?.devices ?? [] }

  private func refusal(_ refused: Refusal, _ steps: Int64, of device: DeviceStatus) -> CodeRefusal {
    CodeRefusal(
      refused, period: device.kind.period,
      resync: device.isInReach(ofResync: steps) ? resync(ofOneOf: [device]) : nil)
  }

  private func resync(ofOneOf devices: [DeviceStatus]) -> String? {
    guard let device = devices.first else { return nil }
    return Invocation.text(ofDeviceCommand: "resync", devices.count > 1 ? "NAME" : device.name, userOption)
  }
}
