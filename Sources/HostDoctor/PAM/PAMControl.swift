/// A control value: what libpam does for each result of a module (pam.conf(5)).
struct PAMControl: Equatable {
  enum Action: Hashable {
    case ignore
    case bad
    case die
    case ok
    case done
    case reset
    case jump(Int)
  }

  /// As in the file, with brackets.
  let text: String
  /// Why libpam rejects the value and treats every result as `bad`; nil if it does not.
  let flaw: String?
  /// By ``PAMResult``.
  private var actions: [Action]

  /// Every result is `bad`, as for an include that fails.
  static let failing = PAMControl(text: "required", flaw: nil, actions: [:], fallback: .bad)

  private init(text: String, flaw: String?, actions: [PAMResult: Action], fallback: Action) {
    self.text = text
    self.flaw = flaw
    self.actions = PAMResult.allCases.map { actions[$0] ?? fallback }
  }

  /// `value` is the word without brackets.
  init(_ value: PAMWord) {
    let success: [PAMResult: Action] = [.success: .ok, .newTokenRequired: .ok]
    switch value.text.asciiLowercased {
    case "required":
      self.init(text: value.text, flaw: nil, actions: success.merging([.ignore: .ignore]) { $1 }, fallback: .bad)
    case "requisite":
      self.init(text: value.text, flaw: nil, actions: success.merging([.ignore: .ignore]) { $1 }, fallback: .die)
    case "optional": self.init(text: value.text, flaw: nil, actions: success, fallback: .ignore)
    case "sufficient":
      self.init(text: value.text, flaw: nil, actions: success.mapValues { _ in .done }, fallback: .ignore)
    default:
      var parser = Parser(rest: Array(value.text.utf8)[...])
      let flaw = parser.parse()
      self.init(
        text: value.isBracketed ? "[\(value.text)]" : value.text, flaw: flaw,
        actions: flaw == nil ? parser.actions : [:], fallback: .bad)
    }
  }

  func action(on result: PAMResult) -> Action { actions[result.rawValue] }

  static func == (one: PAMControl, other: PAMControl) -> Bool { one.text == other.text && one.actions == other.actions }

  /// Reads `value=action` pairs as libpam does: blanks between them are optional.
  private struct Parser {
    var rest: ArraySlice<UInt8>
    var actions: [PAMResult: Action] = [:]

    private static let results = PAMResult.allCases.map { (Array($0.name.utf8), $0) }
    private static let words: [([UInt8], Action)] = [
      (Array("ignore".utf8), .ignore), (Array("ok".utf8), .ok), (Array("done".utf8), .done),
      (Array("bad".utf8), .bad), (Array("die".utf8), .die), (Array("reset".utf8), .reset),
    ]

    /// Returns why libpam rejects the text; nil if it does not.
    mutating func parse() -> String? {
      skipBlanks()
      while !rest.isEmpty {
        var result: PAMResult?
        if let (word, found) = Self.results.first(where: { rest.starts(with: $0.0) }) {
          result = found
          rest = rest.dropFirst(word.count)
        } else if rest.starts(with: "default".utf8) {
          rest = rest.dropFirst("default".utf8.count)
        } else {
          return "unknown value"
        }
        skipBlanks()
        guard rest.popFirst() == UInt8(ascii: "=") else { return "no \"=\" after a value" }
        skipBlanks()
        guard let action = action() else { return "unknown action" }
        if let result {
          actions[result] = action
        } else {
          // Applies to the values that have no action yet.
          for result in PAMResult.allCases where actions[result] == nil { actions[result] = action }
        }
        skipBlanks()
      }
      return nil
    }

    private mutating func action() -> Action? {
      if let (word, action) = Self.words.first(where: { rest.starts(with: $0.0) }) {
        rest = rest.dropFirst(word.count)
        return action
      }
      var count = 0
      while let digit = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) {
        // No stack is longer.
        count = min(count * 10 + Int(digit - UInt8(ascii: "0")), 1_000_000)
        rest = rest.dropFirst()
      }
      return count > 0 ? .jump(count) : nil
    }

    /// As isspace(3).
    private mutating func skipBlanks() {
      rest = rest.drop { $0 == UInt8(ascii: " ") || (9...13).contains($0) }
    }
  }
}

extension String {
  /// As strcasecmp(3) compares in the locale C.
  var asciiLowercased: String {
    String(decoding: utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
