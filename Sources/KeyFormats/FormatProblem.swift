/// Why an imported text is unusable. Quotes nothing of the text, which may be secret.
package struct FormatProblem: Error, Equatable {
  /// Counted from 1; nil if no single line is to blame.
  package let line: Int?
  /// Lower case, no full stop.
  package let message: String
  package let hint: String?

  package init(line: Int? = nil, _ message: String, hint: String? = nil) {
    self.line = line
    self.message = message
    self.hint = hint
  }

  func at(_ line: Int) -> FormatProblem { FormatProblem(line: self.line ?? line, message, hint: hint) }

  package var text: String { line.map { "line \($0): \(message)" } ?? message }

  static let sevenDigits = FormatProblem("seven-digit codes are not supported, only six and eight digits")
  static let counterOutOfRange = FormatProblem("the counter is out of range")
  static let outOfMemory = FormatProblem("out of memory")
}
