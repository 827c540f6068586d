/// Text in Markdown as lines of mdoc(7).
struct ManualText {
  private(set) var lines: [String] = []
  private var words: [String] = []

  /// Names that are options, and so commands of the manual page.
  private let options: Set<String>

  init(_ markdown: String, options: Set<String>) {
    self.options = options
    // A word is split at blanks outside of code.
    let parts = markdown.split(separator: "`", omittingEmptySubsequences: false)
    var word = ""
    for (index, part) in parts.enumerated() {
      if index % 2 == 1 {
        word += "`\(part)`"
        continue
      }
      for character in part {
        if character == " " {
          add(word)
          word = ""
        } else {
          word.append(character)
        }
      }
    }
    add(word)
    flush()
  }

  private mutating func add(_ word: String) {
    guard !word.isEmpty else { return }
    var core = word[...]
    var punctuation: [String] = []
    while let last = core.last, ".,;:".contains(last) {
      punctuation.insert(String(last), at: 0)
      core.removeLast()
    }
    let isEnclosed = core.first == "(" && core.last == ")"
    if isEnclosed { core = core.dropFirst().dropLast() }
    if let macro = macro(for: String(core)) {
      flush()
      lines.append((["." + (isEnclosed ? "Pq " : "") + macro] + punctuation).joined(separator: " "))
    } else {
      words.append(word)
      // A sentence begins on a new line.
      if punctuation.last == "." { flush() }
    }
  }

  private func macro(for word: String) -> String? {
    if let code = enclosed(word, "`") {
      if options.contains(code) { return "Cm \(code)" }
      let isPath = code.hasPrefix("/") || code.hasPrefix("~/")
      if isPath { return "Pa \(code)" }
      // mdoc(7) has macros such as %U.
      let isMacro = code.first == "%" && code.dropFirst().first?.isUppercase == true
      return "Ql \(code.contains(" ") ? "\"\(code)\"" : isMacro ? "\\&\(code)" : code)"
    }
    if let text = enclosed(word, "*") { return "Em \(text)" }
    if word.hasPrefix("PAM_") { return "Dv \(word)" }
    if word.hasSuffix(")"), let section = word.dropLast().last, word.dropLast(2).last == "(" {
      return "Xr \(word.dropLast(3)) \(section)"
    }
    return nil
  }

  private func enclosed(_ word: String, _ mark: Character) -> String? {
    word.count > 2 && word.first == mark && word.last == mark ? String(word.dropFirst().dropLast()) : nil
  }

  private mutating func flush() {
    lines += wrapped(words, at: 80)
    words = []
  }
}

/// Words as lines of at most so many characters.
func wrapped(_ words: [String], at width: Int) -> [String] {
  var lines: [String] = []
  for word in words {
    if let last = lines.last, last.count + 1 + word.count <= width {
      lines[lines.count - 1] += " " + word
    } else {
      lines.append(word)
    }
  }
  return lines
}
