/// A control value: the actions for the results of a module (pam.conf(5)).
struct PAMControl: Equatable {
  enum Action: Equatable {
    case ignore
    case bad
    case die
    case ok
    case done
    case reset
    case jump(Int)
  }

  let text: String
  private let actions: [String: Action]
  private let fallback: Action

  /// Nil if libpam rejects it.
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

  /// Results are named as in control values: `success`, `auth_err` …
  func action(on result: String) -> Action { actions[result] ?? fallback }

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

/// A line that calls a module.
struct PAMRule: Equatable {
  let file: String
  let line: Int
  /// `auth`, `account`, `password` or `session`.
  let facility: String
  let control: PAMControl
  /// A name or an absolute path.
  let module: String
  var arguments: [String]

  /// Without folder and suffix.
  var name: String {
    let file = module.split(separator: "/").last.map(String.init) ?? module
    return file.hasSuffix(".so") ? String(file.dropLast(3)) : file
  }

  var isTwoFactor: Bool { name == "pam_twofactor" }

  /// Whether pam_twofactor prompts for password and code at once, and forwards the password.
  var forwardsPassword: Bool { isTwoFactor && arguments.contains { $0 == "forward_pass" || $0 == "forward_pass=yes" } }

  var place: String { "\(file), line \(line)" }

  func text(control other: String? = nil) -> String {
    let words = arguments.map { $0.contains { " \t]".contains($0) } ? "[\($0)]" : $0 }
    return ([facility, other ?? control.text, module] + words).joined(separator: " ")
  }
}

/// A file of the PAM configuration (pam.conf(5)).
struct PAMFile {
  enum Statement: Equatable {
    case rule(PAMRule)
    /// `auth include FILE` or `auth substack FILE`.
    case include(facility: String, file: String, isSubstack: Bool, line: Int)
    /// `@include FILE`, for all facilities.
    case includeAll(file: String, line: Int)
    /// A line that libpam rejects, which makes every login of the service fail.
    case invalid(line: Int, text: String)
  }

  let path: String
  let statements: [Statement]

  init(path: String, text: String) {
    self.path = path
    var statements: [Statement] = []
    var pending = ""
    var first = 0
    for (index, piece) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if pending.isEmpty { first = index + 1 }
      // A backslash does not continue a comment.
      let line = piece.firstIndex(of: "#").map { piece[..<$0] } ?? piece
      if line.hasSuffix("\\") {
        pending += line.dropLast() + " "
        continue
      }
      let words = Self.words(pending + line)
      pending = ""
      if !words.isEmpty { statements.append(Self.statement(words, path, first)) }
    }
    let words = Self.words(pending)
    if !words.isEmpty { statements.append(Self.statement(words, path, first)) }
    self.statements = statements
  }

  private static func statement(_ words: [String], _ path: String, _ line: Int) -> Statement {
    let invalid = Statement.invalid(line: line, text: words.joined(separator: " "))
    if words[0] == "@include" {
      return words.count == 2 ? .includeAll(file: words[1], line: line) : invalid
    }
    var facility = words[0].lowercased()
    if facility.hasPrefix("-") { facility.removeFirst() }
    guard ["auth", "account", "password", "session"].contains(facility), words.count >= 3 else { return invalid }
    let control = words[1].lowercased()
    if control == "include" || control == "substack" {
      return .include(facility: facility, file: words[2], isSubstack: control == "substack", line: line)
    }
    guard let control = PAMControl(words[1]) else { return invalid }
    return .rule(
      PAMRule(
        file: path, line: line, facility: facility, control: control, module: words[2],
        arguments: words.dropFirst(3).map { word in
          word.hasPrefix("[") && word.hasSuffix("]") ? String(word.dropFirst().dropLast()) : word
        }))
  }

  /// Splits at blanks outside brackets. Inside, `\]` is a literal bracket.
  private static func words(_ line: String) -> [String] {
    var words: [String] = []
    var word = ""
    var isBracketed = false
    var isEscaped = false
    for character in line {
      if isBracketed {
        if isEscaped, character != "]" { word.append("\\") }
        if character == "\\", !isEscaped {
          isEscaped = true
          continue
        }
        word.append(character)
        if character == "]", !isEscaped { isBracketed = false }
        isEscaped = false
      } else if character == " " || character == "\t" || character == "\r" {
        if !word.isEmpty { words.append(word) }
        word = ""
      } else {
        if character == "[", word.isEmpty { isBracketed = true }
        word.append(character)
      }
    }
    if !word.isEmpty { words.append(word) }
    return words
  }
}
