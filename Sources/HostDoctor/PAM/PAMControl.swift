/// What a line of a PAM configuration makes of a module's answer: its control field (pam.conf(5)).
struct PAMControl: Equatable {
  /// What happens next.
  enum Action: Equatable {
    case ignore
    case bad
    case die
    case ok
    case done
    case reset
    case jump(Int)
  }

  /// The field as it is written.
  let text: String
  private let actions: [String: Action]
  private let fallback: Action

  /// Nil for a field that libpam does not know.
  init?(_ text: String) {
    self.text = text
    switch text.lowercased() {
    case "required": (actions, fallback) = (["success": .ok, "new_authtok_reqd": .ok, "ignore": .ignore], .bad)
    case "requisite": (actions, fallback) = (["success": .ok, "new_authtok_reqd": .ok, "ignore": .ignore], .die)
    case "sufficient": (actions, fallback) = (["success": .done, "new_authtok_reqd": .done], .ignore)
    case "optional": (actions, fallback) = (["success": .ok, "new_authtok_reqd": .ok], .ignore)
    default:
      guard text.hasPrefix("["), text.hasSuffix("]") else { return nil }
      var actions: [String: Action] = [:]
      for word in text.dropFirst().dropLast().split(whereSeparator: { $0 == " " || $0 == "\t" }) {
        let parts = word.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let action = Self.action(parts[1].lowercased()) else { return nil }
        actions[parts[0].lowercased()] = action
      }
      fallback = actions["default"] ?? .bad
      actions["default"] = nil
      self.actions = actions
    }
  }

  /// What follows an answer, by its name in a control field: `success`, `auth_err` …
  func action(on answer: String) -> Action { actions[answer] ?? fallback }

  private static func action(_ word: String) -> Action? {
    switch word {
    case "ignore": .ignore
    case "bad": .bad
    case "die": .die
    case "ok": .ok
    case "done": .done
    case "reset": .reset
    default: Int(word).flatMap { $0 > 0 ? .jump($0) : nil }
    }
  }
}
