import Glibc

/// The configuration files (sshd_config(5)).
struct SSHConfiguration {
  struct Line {
    let keyword: String
    let value: String
    let file: String
    let number: Int
    /// Nil outside `Match` blocks.
    let match: [String]?

    var place: String { "\(file), line \(number)" }
  }

  let path: String?
  private(set) var lines: [Line] = []
  private let tree: HostTree

  private static let maximumDepth = 16

  init(_ tree: HostTree) {
    self.tree = tree
    path = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"].first { tree.exists($0) }
    if let path { read(path, match: nil, depth: 0) }
  }

  /// The settings of an account; of unknown accounts if nil. sshd uses the first line, and `Match` blocks override
  /// lines outside.
  func settings(for account: TreeAccount?) -> SSHSettings {
    var settings = SSHSettings(mainFile: path ?? "/etc/ssh/sshd_config")
    let matching = lines.filter { $0.match.map { applies($0, to: account) } ?? false }
    for line in matching + lines.filter({ $0.match == nil }) {
      if let keyword = SSHSettings.keyword(line.keyword) {
        settings.take(keyword, SSHSettings.Setting(value: line.value, place: line.place))
      }
    }
    return settings
  }

  private mutating func read(_ path: String, match outer: [String]?, depth: Int) {
    guard depth < Self.maximumDepth, let text = tree.text(of: path) else { return }
    var match = outer
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = Self.words(String(line))
      guard let keyword = words.first?.lowercased() else { continue }
      let values = Array(words.dropFirst())
      switch keyword {
      case "match": match = values
      case "include":
        for pattern in values {
          for file in files(pattern) { read(file, match: match, depth: depth + 1) }
        }
      default:
        lines.append(
          Line(keyword: keyword, value: values.joined(separator: " "), file: path, number: index + 1, match: match))
      }
    }
  }

  private func files(_ pattern: String) -> [String] {
    let path = pattern.hasPrefix("/") ? pattern : "/etc/ssh/\(pattern)"
    var found = [""]
    for part in path.split(separator: "/").map(String.init) {
      guard part.contains(where: { "*?[".contains($0) }) else {
        found = found.map { "\($0)/\(part)" }
        continue
      }
      found = found.flatMap { folder in
        tree.names(in: folder).filter { Self.matches($0, part, FNM_PERIOD) }.map { "\(folder)/\($0)" }
      }
    }
    return found.filter { tree.exists($0) }
  }

  private func applies(_ criteria: [String], to account: TreeAccount?) -> Bool {
    if criteria.map({ $0.lowercased() }) == ["all"] { return true }
    guard let account, criteria.count.isMultiple(of: 2), !criteria.isEmpty else { return false }
    return stride(from: 0, to: criteria.count, by: 2).allSatisfy { index in
      switch criteria[index].lowercased() {
      case "user": Self.matches([account.name], list: criteria[index + 1])
      case "group": Self.matches(account.groups, list: criteria[index + 1])
      default: false
      }
    }
  }

  /// Whether a pattern of the list matches, and no negated one (`!`).
  private static func matches(_ names: [String], list: String) -> Bool {
    var isMatch = false
    for pattern in list.split(separator: ",").map(String.init) {
      let isNegated = pattern.hasPrefix("!")
      let text = isNegated ? String(pattern.dropFirst()) : pattern
      guard names.contains(where: { matches($0, text) }) else { continue }
      if isNegated { return false }
      isMatch = true
    }
    return isMatch
  }

  private static func matches(_ name: String, _ pattern: String, _ flags: Int32 = 0) -> Bool {
    // SAFETY: both strings are NUL-terminated.
    unsafe fnmatch(pattern, name, flags) == 0
  }

  /// Splits at blanks, and at `=` after the keyword.
  private static func words(_ line: String) -> [String] {
    var words: [String] = []
    var word = ""
    var isQuoted = false
    var hasWord = false
    func isSeparator(_ character: Character) -> Bool {
      character == " " || character == "\t" || character == "\r" || (character == "=" && words.count < 2)
    }
    for character in line {
      if character == "\"" {
        isQuoted.toggle()
        hasWord = true
      } else if !isQuoted, character == "#", !hasWord {
        break
      } else if !isQuoted, isSeparator(character) {
        if hasWord { words.append(word) }
        (word, hasWord) = ("", false)
      } else {
        word.append(character)
        hasWord = true
      }
    }
    if hasWord { words.append(word) }
    return words
  }
}
