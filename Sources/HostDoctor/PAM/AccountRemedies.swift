import LoginPolicy

/// Edits of account stacks, one of which may fix a finding of ``AccountCheck``. ``RemedySearch`` verifies them.
struct AccountRemedies {
  private let finding: StackFinding
  private let stacks: [PAMServiceStacks]
  private let configuration: PAMConfiguration
  private let tree: HostTree

  /// `stacks`: those of all services with the finding.
  init(_ finding: StackFinding, stacks: [PAMServiceStacks], configuration: PAMConfiguration) {
    self.finding = finding
    self.stacks = stacks
    self.configuration = configuration
    tree = configuration.tree
  }

  /// In order of preference.
  var all: [[Edit]] {
    guard let rule = finding.rule else { return [] }
    switch finding.name {
    case "enrollment_bypass" where finding.cause == nil: return insertions(like: rule)
    case "enrollment_bypass": return moves(of: rule, as: rule.text())
    case "enrollment_options": return options(rule)
    default:
      let required = tree.replacement(of: rule, rule.text(control: "required"))
      return [required] + moves(of: rule, as: rule.text(control: "required")) + [tree.removal(of: rule)]
    }
  }

  // MARK: New rules

  /// The arguments that decide whether and where users are enrolled.
  private static let shared: Set<String> = [
    "conf", "store", "directory", "owner", "shared", "enroll", "enroll_networks", "required_from",
  ]

  private func insertions(like rule: PAMRule) -> [[Edit]] {
    let arguments = rule.arguments.filter { argument in Self.shared.contains(String(argument.prefix { $0 != "=" })) }
    let new = PAMRule(
      file: rule.file, line: rule.line, facility: .account, isSilent: false, control: rule.control,
      module: rule.module, arguments: arguments)
    let text = new.text(control: "required")
    // First in the files that most services include, then in the files of the services.
    return [{ $0.first }, { $0.last }].map { (choice: ([Edit]) -> Edit?) in
      stacks.compactMap { choice(places(of: $0, text)) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
  }

  /// Before the first rule of the chain: in its file, then in those that include it.
  private func places(of stacks: PAMServiceStacks, _ text: String) -> [Edit] {
    let rules = stacks.chain(.account).rules
    let shared = rules.first { rule in
      let name = rule.file.split(separator: "/").last.map(String.init) ?? ""
      return rule.file != stacks.path && HostFindings.isShared(name)
    }
    var edits: [Edit] = []
    for first in [shared, rules.first].compactMap(\.self) {
      var (file, line) = (first.file, first.line)
      var seen: Set<String> = []
      while seen.insert(file).inserted {
        edits.append(.insertBefore(file: file, line: line, text: text))
        guard let origin = stacks.origins[file] else { break }
        (file, line) = (origin.file, origin.line)
      }
    }
    return edits
  }

  // MARK: Changes

  /// Moves the rule to the beginning of its file, or of a file that includes it.
  private func moves(of rule: PAMRule, as text: String) -> [[Edit]] {
    guard let stacks = stacks.first else { return [] }
    var edits: [[Edit]] = []
    var file = rule.file
    var seen: Set<String> = []
    while seen.insert(file).inserted {
      let lines =
        [stacks.chain(.account).rules.first { $0.file == file }?.line].compactMap(\.self)
        + stacks.origins.values.filter { $0.file == file && $0.facility ?? .account == .account }.map(\.line)
      if let first = lines.min() {
        edits.append(tree.removal(of: rule) + [.insertBefore(file: file, line: first, text: text)])
      }
      guard let origin = stacks.origins[file] else { break }
      file = origin.file
    }
    return edits
  }

  /// Sets the stricter value in one of the rules, or removes a rule without effect.
  private func options(_ rule: PAMRule) -> [[Edit]] {
    let rules = [rule] + stacks.flatMap(\.twoFactorRules)
    let values = rules.compactMap { tree.options(of: $0)?.enrollment }
    let words = [LoginEnrollment.require, .offer].filter(values.contains).map(\.word)
    let settings = words.flatMap { word in rules.map { tree.replacement(of: $0, $0.text(enrollment: word)) } }
    return settings.filter { !$0.isEmpty } + [tree.removal(of: rule)]
  }
}

extension PAMRule {
  fileprivate func text(enrollment value: String) -> String {
    var changed = self
    changed.arguments.removeAll { $0 == "enroll" || $0.hasPrefix("enroll=") }
    changed.arguments.append("enroll=\(value)")
    return changed.text()
  }
}

/// Edits of whole statements, with the lines that continue them.
extension HostTree {
  /// The line numbers of a statement.
  func numbers(of line: Int, in file: String) -> ClosedRange<Int> {
    let lines = HostTree.lines(text(of: file) ?? "")
    var last = line
    while last < lines.count, lines[last - 1].last(where: { $0 != " " && $0 != "\t" }) == "\\" { last += 1 }
    return line...last
  }

  func replacement(of rule: PAMRule, _ text: String) -> [Edit] {
    replacement(file: rule.file, line: rule.line, text)
  }

  func replacement(file: String, line: Int, _ text: String) -> [Edit] {
    [.replace(file: file, line: line, text: text)] + removal(file: file, line: line).dropFirst()
  }

  func removal(of rule: PAMRule) -> [Edit] { removal(file: rule.file, line: rule.line) }

  func removal(file: String, line: Int) -> [Edit] {
    let lines = HostTree.lines(text(of: file) ?? "")
    guard line <= lines.count else { return [] }
    return numbers(of: line, in: file).map { number in
      .remove(file: file, line: number, text: HostTree.words(of: String(lines[number - 1])).joined(separator: " "))
    }
  }
}
