import Enrollment
import HostAccess
import Verification

/// Why a code was not accepted, in words.
struct CodeRefusal {
  /// Lower case, no full stop.
  let message: String
  /// What to do about it, or nil.
  private(set) var hint: String?

  /// Describes a refusal.
  ///
  /// - Parameters:
  ///   - refusal: The refusal.
  ///   - period: The period of the device in seconds; nil if it counts, or is not known.
  init(_ refusal: Refusal, period: Int64?) {
    switch refusal {
    case .noReply: (message, hint) = ("no code was typed", nil)
    case .malformedReply:
      (message, hint) = ("this is no code", "a code has 6 or 8 digits, a backup code 10 characters")
    case .wrongCode: (message, hint) = ("wrong code", nil)
    case .outsideWindow(let steps): (message, hint) = Self.outsideWindow(steps, period: period)
    case .reusedCode:
      message = "this code was already used"
      hint = "wait for the next one; a backup code is good once"
    case .throttled(let seconds):
      (message, hint) = ("too many failed codes", "try again in \(seconds) seconds, or use a backup code")
    case .locked:
      message = "too many failed codes, no more are looked at"
      hint = "use a backup code, or ask root for: twofactor unlock --user NAME"
    }
  }

  /// Describes a reply that is not a code.
  init(_ problem: Reply.Problem) {
    if let refusal = problem.refusal {
      self.init(refusal, period: nil)
    } else {
      (message, hint) = ("out of memory", nil)
    }
  }

  /// The same with another hint.
  func advising(_ hint: String) -> CodeRefusal {
    var refusal = self
    refusal.hint = hint
    return refusal
  }

  private static func outsideWindow(_ steps: Int64, period: Int64?) -> (String, String?) {
    guard let period else {
      let distance = steps < 0 ? "\(-steps) behind" : "\(steps) ahead of"
      return ("this code is \(distance) the one expected", "type the next code that the device shows")
    }
    let seconds = Int64(steps.magnitude) * period
    let span = seconds < 120 ? "\(seconds) seconds" : "\((seconds + 30) / 60) minutes"
    return (
      "this code is right, but \(span) \(steps < 0 ? "late" : "early")",
      "type a code as soon as it is shown; if that does not help, set the clock of the phone to automatic, and look at "
        + "this host's with: timedatectl"
    )
  }

  /// A line of the transcript, where another try follows.
  var line: String {
    let text = message.prefix(1).uppercased() + message.dropFirst() + "."
    guard let hint else { return text }
    return text + " " + hint.prefix(1).uppercased() + hint.dropFirst() + "."
  }

  /// The end of the command.
  var error: SetupError { SetupError(.refused, message, hint: hint) }
}
