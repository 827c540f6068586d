/// A change to one line, as a remedy names it. Line numbers refer to the unchanged file.
enum Edit: Hashable {
  case replace(file: String, line: Int, text: String)
  case insertBefore(file: String, line: Int, text: String)
  case insertAfter(file: String, line: Int, text: String)
  case remove(file: String, line: Int, text: String)
  case append(file: String, text: String)
  /// `cp FILE TARGET`.
  case copy(file: String, target: String)

  /// Nil if the line of a remedy is no edit.
  init?(_ words: String) {
    if words.hasPrefix("cp /") {
      let names = words.dropFirst(3).split(separator: " ").map(String.init)
      guard names.count == 2 else { return nil }
      self = .copy(file: names[0], target: names[1])
      return
    }
    guard words.hasPrefix("in /"), let end = words.firstIndex(where: { $0 == "," || $0 == ":" }) else { return nil }
    let file = String(words[..<end].dropFirst("in ".count))
    var rest = words[end...]
    if rest.hasPrefix(": ") {
      self = .append(file: file, text: String(rest.dropFirst(2)))
      return
    }
    rest = rest.dropFirst(2)
    let kind = ["before ", "behind ", "remove "].first { rest.hasPrefix($0) }
    rest = rest.dropFirst(kind?.count ?? 0)
    guard rest.hasPrefix("line "), let colon = rest.firstIndex(of: ":"),
      let line = Int(rest[..<colon].dropFirst("line ".count)), line > 0
    else { return nil }
    let text = String(rest[colon...].dropFirst(2))
    switch kind {
    case "before ": self = .insertBefore(file: file, line: line, text: text)
    case "behind ": self = .insertAfter(file: file, line: line, text: text)
    case "remove ": self = .remove(file: file, line: line, text: text)
    default: self = .replace(file: file, line: line, text: text)
    }
  }

  var text: String { [self].text }

  var file: String {
    switch self {
    case .replace(let file, _, _), .insertBefore(let file, _, _), .insertAfter(let file, _, _), .remove(let file, _, _),
      .append(let file, _), .copy(let file, _):
      file
    }
  }

  /// Nil for an edit of a whole file.
  var line: Int? {
    switch self {
    case .replace(_, let line, _), .insertBefore(_, let line, _), .insertAfter(_, let line, _),
      .remove(_, let line, _):
      line
    case .append, .copy: nil
    }
  }

  fileprivate var lines: [String] {
    guard file.hasPrefix(Self.vendorFolder), words(file) != nil else { return [words(file) ?? copyWords] }
    // A package upgrade overwrites a vendor's file, but a file of the same name in /etc overrides it.
    let own = "/etc/pam.d/" + file.dropFirst(Self.vendorFolder.count)
    return ["cp \(file) \(own)", words(own) ?? ""]
  }

  private static let vendorFolder = "/usr/lib/pam.d/"

  private var copyWords: String {
    guard case .copy(let file, let target) = self else { return "" }
    return "cp \(file) \(target)"
  }

  /// Nil for a copy.
  private func words(_ file: String) -> String? {
    switch self {
    case .replace(_, let line, let text): "in \(file), line \(line): \(text)"
    case .insertBefore(_, let line, let text): "in \(file), before line \(line): \(text)"
    case .insertAfter(_, let line, let text): "in \(file), behind line \(line): \(text)"
    case .remove(_, let line, let text):
      "in \(file), remove line \(line): \(text.hasSuffix("\r") ? String(text.dropLast()) : text)"
    case .append(_, let text): "in \(file): \(text)"
    case .copy: nil
    }
  }
}

extension [Edit] {
  var text: String {
    flatMap(\.lines).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "\n")
  }

  /// The edits of a remedy. Ignores other lines.
  init(remedy: String) { self = remedy.split(separator: "\n").compactMap { Edit(String($0)) } }
}

extension HostTree {
  /// The tree after the edits of a remedy. Nil if an edit cannot be applied: its file or line does not exist, or the
  /// line to remove has other words.
  func applying(_ edits: [Edit]) -> HostTree? {
    var texts: [String: String] = [:]
    for case .copy(let file, let target) in edits {
      guard let text = text(of: file) else { return nil }
      texts[target] = text
    }
    for (file, edits) in Dictionary(grouping: edits, by: \.file) {
      let old = texts[file] ?? text(of: file)
      let changes = edits.filter { if case .copy = $0 { false } else { true } }
      guard !changes.isEmpty else { continue }
      guard let new = Self.text(old, after: changes) else { return nil }
      texts[file] = new
    }
    return texts.reduce(self) { $0.replacing($1.key, $1.value) }
  }

  /// Added lines create a missing file.
  private static func text(_ text: String?, after edits: [Edit]) -> String? {
    var lines = lines(text ?? "").map { [String($0)] }
    // The text ends with a newline.
    if lines.last == [""] { lines.removeLast() }
    var before: [Int: [String]] = [:]
    var after: [Int: [String]] = [:]
    var end: [String] = []
    for edit in edits {
      if let line = edit.line, line > max(lines.count, edit.createsFile ? 1 : 0) { return nil }
      switch edit {
      case .replace(_, let line, let text): lines[line - 1] = [text]
      case .insertBefore(_, let line, let text): before[line - 1, default: []].append(text)
      case .insertAfter(_, let line, let text): after[line - 1, default: []].append(text)
      case .remove(_, let line, let text):
        guard lines[line - 1].first.map({ words(of: $0) == words(of: text) }) == true else { return nil }
        lines[line - 1] = []
      case .append(_, let text): end.append(text)
      case .copy: break
      }
    }
    let count = max(lines.count, before.isEmpty ? 0 : 1)
    let all = (0..<count).flatMap { index in
      before[index, default: []] + (lines.indices.contains(index) ? lines[index] : []) + after[index, default: []]
    }
    return (all + end).map { $0 + "\n" }.joined()
  }

  static func words(of line: String) -> [Substring] { line.split { $0 == " " || $0 == "\t" || $0 == "\r" } }
}

extension Edit {
  fileprivate var createsFile: Bool {
    if case .insertBefore(_, 1, _) = self { true } else { false }
  }
}

extension PAMRule {
  func with(control: String) -> Edit { .replace(file: file, line: line, text: text(control: control)) }

  var removal: Edit { .remove(file: file, line: line, text: text()) }
}
