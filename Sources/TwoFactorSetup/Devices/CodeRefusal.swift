import HostAccess
import Verification

struct CodeRefusal {
  /// Lower case, no full stop.
  let message: String
  private(set) var hint: String?

  /// `period` is in seconds; nil for HOTP, or if unknown.
  init(_ refusal: Refusal, period: Int64?) {
    switch refusal {
    case .noReply: message = "no code was typed"
    case .malformedReply:
      (message, hint) = ("this is not a code", "a code has 6 or 8 digits, a backup code 10 characters")
    case .wrongCode, .wrongBackupCode: message = "wrong code"
    case .outsideWindow(let steps): (message, hint) = Self.outsideWindow(steps, period: period)
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

  private static func outsideWindow(_ steps: Int64, period: Int64?) -> (String, String?) {
    guard let period else {
      let direction = steps < 0 ? "behind" : "ahead of"
      return (
        "this code is \(steps.magnitude) counters \(direction) the expected one",
        "type the next code that the device shows"
      )
    }
    let seconds = Int64(steps.magnitude) * period
    let span = seconds < 120 ? "\(seconds) seconds" : "\((seconds + 30) / 60) minutes"
    return (
      "this code is right, but \(span) \(steps < 0 ? "late" : "early")",
      "type a code as soon as it is shown; if that does not help, set the phone's clock to automatic and check this "
        + "host's clock with: timedatectl"
    )
  }

  /// Before the next prompt.
  var line: String { error.sentences }

  var error: SetupError { SetupError(.refused, message, hint: hint) }
}
