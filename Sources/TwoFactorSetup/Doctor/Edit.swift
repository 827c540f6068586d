/// A change of one line of a file: what `doctor` says to do, in words that a person and a script can follow. Numbers are
/// those of the file as it is.
enum Edit: Equatable {
  case replace(file: String, line: Int, text: String)
  case insertBefore(file: String, line: Int, text: String)
  case insertBehind(file: String, line: Int, text: String)
  case remove(file: String, line: Int, text: String)

  /// The line for a person.
  var text: String {
    switch self {
    case .replace(let file, let line, let text): "in \(file), line \(line): \(text)"
    case .insertBefore(let file, let line, let text): "in \(file), before line \(line): \(text)"
    case .insertBehind(let file, let line, let text): "in \(file), behind line \(line): \(text)"
    case .remove(let file, let line, let text): "in \(file), remove line \(line): \(text)"
    }
  }
}

extension [Edit] {
  /// The lines for a person.
  var text: String { map(\.text).joined(separator: "\n") }
}

extension PAMRule {
  /// Gives it another control field.
  func with(control: String) -> Edit { .replace(file: file, line: line, text: text(control: control)) }

  /// Takes it away.
  var removal: Edit { .remove(file: file, line: line, text: text()) }
}
