/// One file of a PAM configuration, as pam.conf(5) has it.
struct PAMFile {
  /// What a line says.
  enum Statement: Equatable {
    case rule(PAMRule)
    /// `auth include FILE` or `auth substack FILE`.
    case include(facility: String, file: String, isSubstack: Bool, line: Int)
    /// `@include FILE`, for all facilities.
    case includeAll(file: String, line: Int)
    /// A line that libpam does not understand; it makes every login of the service fail.
    case broken(line: Int, text: String)
  }

  let path: String
  let statements: [Statement]

  /// Understands the text of a file.
  init(path: String, text: String) {
    self.path = path
    var statements: [Statement] = []
    var pending = ""
    var first = 0
    for (index, piece) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if pending.isEmpty { first = index + 1 }
      // A comment goes to the end of its own line, whatever stands there.
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
    let broken = Statement.broken(line: line, text: words.joined(separator: " "))
    if words[0] == "@include" {
      return words.count == 2 ? .includeAll(file: words[1], line: line) : broken
    }
    var facility = words[0].lowercased()
    if facility.hasPrefix("-") { facility.removeFirst() }
    guard ["auth", "account", "password", "session"].contains(facility), words.count >= 3 else { return broken }
    let control = words[1].lowercased()
    if control == "include" || control == "substack" {
      return .include(facility: facility, file: words[2], isSubstack: control == "substack", line: line)
    }
    guard let control = PAMControl(words[1]) else { return broken }
    return .rule(
      PAMRule(
        file: path, line: line, facility: facility, control: control, module: words[2],
        arguments: words.dropFirst(3).map { word in
          word.hasPrefix("[") && word.hasSuffix("]") ? String(word.dropFirst().dropLast()) : word
        }))
  }

  /// The words of a line: blanks separate them, but not within brackets, where `\]` is a bracket of the text.
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
