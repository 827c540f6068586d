import HostAccess
import LoginPolicy
import Verification

/// Reports the chance of guessing a code on this host.
struct GuessingCheck {
  let tree: HostTree
  let rules: [PAMRule]

  /// The maximum chance, in percent, that 100 guesses hit a code of ``devices`` devices.
  static let bound = 1.0

  static let devices = 8

  private static let name = "guessing"

  /// A warning for each rule above the bound; if there is none, the highest chance.
  var findings: [Finding] {
    let limits = rules.compactMap { rule in tree.options(of: rule).map { (rule, GuessingChance($0.limits)) } }
    let excessive = limits.filter { Self.percent($0.1.ofCodes(devices: Self.devices)) > Self.bound }
    guard excessive.isEmpty else {
      return excessive.map { rule, chance in
        .warning(
          Self.name, "\(rule.place): \(Self.words(chance)): more than \(Self.text(Self.bound / 100))",
          remedy: remedy(chance.limits, of: rule))
      }
    }
    let ofFile = GuessingChance(SettingsCheck(tree: tree, rules: []).settings.limits)
    let worst = limits.map(\.1).max { Self.order($0) < Self.order($1) } ?? ofFile
    return [.ok(Self.name, Self.words(worst))]
  }

  private static func order(_ chance: GuessingChance) -> (Double, Int) {
    (chance.ofCodes(devices: devices), chance.guessesWithoutWait)
  }

  static func words(_ chance: GuessingChance) -> String {
    let wait = chance.guessesWithoutWait
    return "before codes are locked, \(GuessingChance.guesses) guesses hit a code with a chance of "
      + "\(text(chance.ofCodes(clocks: 1))) if the user has one app, \(text(chance.ofCodes(clocks: 0, counters: 1))) "
      + "with one token that counts, at most \(text(chance.ofCodes(devices: devices))) with \(devices) devices; "
      + "\(wait) \(wait == 1 ? "guess is" : "guesses are") possible before the first wait"
  }

  private func remedy(_ limits: VerificationLimits, of rule: PAMRule) -> String {
    var lines: [String] = []
    var best = VerificationLimits()
    (best.window, best.lookAhead) = (10, 1)
    while Self.isExcessive(best) { best.window -= 1 }
    if limits.window > best.window { lines.append(tree.edit(.window, "\(best.window)", of: rule)) }
    (best.window, best.lookAhead) = (0, 100)
    while Self.isExcessive(best) { best.lookAhead -= 1 }
    if limits.lookAhead > best.lookAhead { lines.append(tree.edit(.lookAhead, "\(best.lookAhead)", of: rule)) }
    return lines.joined(separator: "\n")
  }

  private static func isExcessive(_ limits: VerificationLimits) -> Bool {
    percent(GuessingChance(limits).ofCodes(devices: devices)) > bound
  }

  private static func percent(_ chance: Double) -> Double { chance * 100 }

  /// For example `0.03 %` or `1.7 %`.
  static func text(_ chance: Double) -> String {
    let hundredths = Int((chance * 10_000).rounded())
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) %"
  }
}
