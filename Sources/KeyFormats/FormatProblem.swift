/// Why a text of another program cannot be used. Nothing of the text itself is in it: it may be secret.
package struct FormatProblem: Error, Equatable {
  /// The line, counted from 1; nil where it is about no line.
  package var line: Int?
  /// What is wrong: lower case, no full stop.
  package let message: String
  /// What to do about it, or nil.
  package let hint: String?

  /// A problem in a line.
  package init(line: Int? = nil, _ message: String, hint: String? = nil) {
    self.line = line
    self.message = message
    self.hint = hint
  }

  /// The problem in one line: `line 3: the key is not Base32`.
  package var text: String { line.map { "line \($0): \(message)" } ?? message }
}
