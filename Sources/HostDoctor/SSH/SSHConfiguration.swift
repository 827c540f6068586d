/// sshd_config(5) and the files that it includes, parsed as sshd does.
struct SSHConfiguration {
  struct Line {
    let keyword: SSHKeyword
    let value: String
    /// As in the file, without indentation.
    let text: String
    let file: String
    let number: Int
    /// The indexes of the `Match` blocks that must all apply; empty outside them.
    let matches: [Int]

    var place: String { "\(file), line \(number)" }
  }

  /// Why parsing stopped before the end of the files.
  struct Problem: Equatable {
    let place: String
    let words: String
    /// Whether a limit was reached that sshd does not have.
    let isLimit: Bool

    var isUnreadable: Bool { words == Self.unreadable }

    static let unreadable = "cannot be read"
  }

  /// The main file; nil if there is none.
  let path: String?
  /// The lines with an ``SSHKeyword``.
  private(set) var lines: [Line] = []
  private(set) var blocks: [SSHMatch] = []
  private(set) var problem: Problem?
  private let tree: HostTree
  private var lineCount = 0
  /// Bytes of included files, with a fixed cost for each file and pattern.
  private var includedSize = 0
  /// Bytes of the criteria of `Match` blocks.
  private var criteriaSize = 0

  private static let maximumDepth = 16
  private static let maximumLines = 200_000
  private static let maximumIncludedSize = 8 << 20
  private static let fileCost = 4_096
  private static let patternCost = 65_536
  private static let maximumBlocks = 1_000
  private static let maximumCriteriaSize = 32_768

  init(_ tree: HostTree) {
    self.tree = tree
    path = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"].first { tree.exists($0) }
    if let path { read(path, matches: [], depth: 0) }
  }

  /// The values for a login. sshd reads the files twice: first the lines outside `Match` blocks, then those inside the
  /// blocks that apply, which override. Each time, the first line of a keyword counts.
  func settings(for login: SSHConnection) -> SSHSettings {
    let applies = blocks.map { $0.applies(to: login) }
    var settings = SSHSettings(mainFile: path ?? "/etc/ssh/sshd_config")
    for line in lines where line.keyword.isAllowedInMatch && !line.matches.isEmpty {
      if line.matches.allSatisfy({ applies[$0] }) { settings.take(line, match: line.matches.last.map { blocks[$0] }) }
    }
    for line in lines where line.matches.allSatisfy({ blocks[$0].isAll }) { settings.take(line, match: nil) }
    return settings
  }

  /// The blocks with settings of their own, by index.
  var relevantBlocks: [Int] { Set(lines.filter(\.keyword.isAllowedInMatch).compactMap(\.matches.last)).sorted() }

  /// Whether `sshd -T` can be compared for this login: it finds no groups for unknown users.
  func isComparable(_ login: SSHConnection) -> Bool {
    login.userEntry.isKnown
      || !blocks.flatMap(\.criteria).contains { criterion in
        if case .group(let list) = criterion { SSHPattern.matches(groups: login.groups, list: list) } else { false }
      }
  }

  /// The block, after the blocks that include its file.
  func enclosing(_ block: Int) -> [Int] { lines.first { $0.matches.last == block }?.matches ?? [block] }

  private mutating func read(_ path: String, matches outer: [Int], depth: Int) {
    guard problem == nil else { return }
    guard depth <= Self.maximumDepth else { return fail(path, 1, "includes itself, or nests too many files") }
    guard tree.status(of: path)?.isDirectory != true else { return }
    guard let text = tree.configurationBytes(of: path) else { return fail(path, 1, Problem.unreadable) }
    var matches = outer
    for (index, bytes) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      lineCount += 1
      guard lineCount <= Self.maximumLines else {
        return fail(path, index + 1, "exceeds the limit of lines", isLimit: true)
      }
      switch SSHLine.read(bytes) {
      case .empty: continue
      case .invalid(let words): return fail(path, index + 1, words)
      case .line(let line):
        let text = String(decoding: bytes.drop { $0 == 0x20 || $0 == 0x09 }, as: UTF8.self)
        take(line, text, path, index + 1, outer: outer, &matches, depth)
      }
      if problem != nil { return }
    }
  }

  private mutating func take(
    _ line: SSHLine, _ text: String, _ path: String, _ number: Int, outer: [Int], _ matches: inout [Int], _ depth: Int
  ) {
    switch line.keyword {
    case "match":
      // Each login that is tried is compared with all of them.
      criteriaSize += line.arguments.reduce(0) { $0 + $1.utf8.count }
      guard criteriaSize <= Self.maximumCriteriaSize else {
        return fail(path, number, "exceeds the limit of criteria", isLimit: true)
      }
      guard blocks.count < Self.maximumBlocks else {
        return fail(path, number, "exceeds the limit of Match blocks", isLimit: true)
      }
      do throws(SSHMatch.Invalid) {
        blocks.append(try SSHMatch(line.arguments, file: path, line: number))
        matches = outer + [blocks.count - 1]
      } catch {
        fail(path, number, error.words)
      }
    case "include":
      for pattern in line.arguments {
        includedSize += Self.patternCost
        for file in files(pattern) where problem == nil {
          includedSize += Self.fileCost + (tree.configurationBytes(of: file)?.count ?? 0)
          if includedSize <= Self.maximumIncludedSize { read(file, matches: matches, depth: depth + 1) }
        }
        guard includedSize <= Self.maximumIncludedSize else {
          return fail(path, number, "includes too many files", isLimit: true)
        }
      }
    default:
      guard let keyword = SSHKeyword(line.keyword) else { return }
      guard let value = keyword.value(of: line.arguments) else {
        return fail(path, number, "\(keyword) has an invalid value: \(line.arguments.joined(separator: " "))")
      }
      let isReached = matches.allSatisfy { blocks[$0].isAll }
      guard isReached || keyword.isAllowedInMatch else {
        return fail(path, number, "\(keyword) is not allowed within a Match block")
      }
      lines.append(
        Line(keyword: keyword, value: value, text: text, file: path, number: number, matches: matches))
    }
  }

  private mutating func fail(_ path: String, _ number: Int, _ words: String, isLimit: Bool = false) {
    if problem == nil { problem = Problem(place: "\(path), line \(number)", words: words, isLimit: isLimit) }
  }

  private func files(_ pattern: String) -> [String] {
    let path = pattern.hasPrefix("/") || pattern.hasPrefix("~") ? pattern : "/etc/ssh/\(pattern)"
    return tree.files(matching: path).filter { tree.exists($0) || tree.ownStatus(of: $0) != nil }
  }
}
