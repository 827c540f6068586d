/// A change of one line of a file: what `doctor` says to do, in words that a person and a script can follow. Numbers are
/// those of the file as it is.
enum Edit: Equatable {
  case replace(file: String, line: Int, text: String)
  case insertBefore(file: String, line: Int, text: String)
  case insertBehind(file: String, line: Int, text: String)
  case remove(file: String, line: Int, text: String)

  /// The lines for a person.
  var text: String { lines.joined(separator: "\n") }

  fileprivate var lines: [String] {
    let file = file
    guard file.hasPrefix(Self.distribution) else { return [words(file)] }
    // What the distribution ships is not to be changed; a file of that name in /etc goes before it.
    let own = "/etc/pam.d/" + file.dropFirst(Self.distribution.count)
    return ["cp \(file) \(own)", words(own)]
  }

  private static let distribution = "/usr/lib/pam.d/"

  private var file: String {
    switch self {
    case .replace(let file, _, _), .insertBefore(let file, _, _), .insertBehind(let file, _, _),
      .remove(let file, _, _):
      file
    }
  }

  private func words(_ file: String) -> String {
    switch self {
    case .replace(_, let line, let text): "in \(file), line \(line): \(text)"
    case .insertBefore(_, let line, let text): "in \(file), before line \(line): \(text)"
    case .insertBehind(_, let line, let text): "in \(file), behind line \(line): \(text)"
    case .remove(_, let line, let text): "in \(file), remove line \(line): \(text)"
    }
  }
}

extension [Edit] {
  /// The lines for a person, each once.
  var text: String {
    flatMap(\.lines).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "\n")
  }
}

extension PAMRule {
  /// Gives it another control field.
  func with(control: String) -> Edit { .replace(file: file, line: line, text: text(control: control)) }

  /// Takes it away.
  var removal: Edit { .remove(file: file, line: line, text: text()) }
}
