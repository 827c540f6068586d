/// Edits of a service's stack, one of which may fix a finding. ``RemedySearch`` verifies them.
struct RemedyCandidates {
  private let tree: HostTree
  private let finding: StackFinding
  private let stacks: PAMServiceStacks
  private let rules: [PAMRule]
  private let includePath: (String) -> String?

  init(_ finding: StackFinding, stacks: PAMServiceStacks, configuration: PAMConfiguration) {
    tree = configuration.tree
    self.finding = finding
    self.stacks = stacks
    rules = stacks.chain(.auth).rules.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    includePath = { configuration.path(ofInclude: $0) }
  }

  private var ours: [PAMRule] { rules.filter(\.isTwoFactor) }

  private var passwords: [PAMRule] { rules.filter { $0.checksPassword } }

  /// Preferred edits, then all others; the smallest first in each part.
  var all: [[Edit]] {
    let singles =
      controls + completions + options + jumpNumbers + requisites + moves + causes + includes + refusals
    // Pairs of changes, if one change is not enough.
    let pairs = singles.enumerated().flatMap { index, first in
      singles[(index + 1)...].compactMap { second in
        Set(first.map(\.place)).isDisjoint(with: second.map(\.place)) ? first + second : nil
      }
    }
    var seen: Set<[Edit]> = []
    let candidates =
      preferred + singles + blocks + withIncludes(blocks) + relocations + withIncludes(relocations) + pairs
    return candidates.filter { !$0.isEmpty && seen.insert($0).inserted }.map(Self.fromTheEnd)
  }

  /// In this order, edits of a file may also be made one after the other.
  private static func fromTheEnd(_ edits: [Edit]) -> [Edit] {
    edits.enumerated().sorted { one, other in
      if one.element.file != other.element.file { return one.offset < other.offset }
      return (other.element.line ?? 0, one.offset) < (one.element.line ?? 0, other.offset)
    }.map(\.element)
  }

  /// Combines the edits with an include instead of a substack.
  private func withIncludes(_ candidates: [[Edit]]) -> [[Edit]] {
    includes.flatMap { include in candidates.map { $0 + include } }
  }

  /// A new rule in each place of the service's own file.
  func insertions(of text: String) -> [Edit] {
    guard let path = stacks.path else { return [] }
    return places(in: path).map { .insertAfter(file: path, line: $0, text: text) }
  }

  // MARK: By finding

  var preferred: [[Edit]] {
    switch finding.name {
    case "pam_syntax": return problemLines
    case "pam_facility": return finding.rule.map { [removal(of: $0)] } ?? []
    case "pam_control": return controls(of: finding.rule)
    case "pam_condition", "pam_alternative": return causes
    case "pam_twice": return ours.reversed().map(removal)
    case "pam_nullok" where finding.cause != nil: return jumpNumbers + blocks + refusals
    case "pam_nullok": return ours.flatMap { [requiringPublicKey($0), without($0, "nullok")] }
    case "pam_order": return moves
    case "pam_requisite": return requisites + blocks + withIncludes(blocks)
    case "pam_code_alone":
      return ours.flatMap { rule in
        controls(of: rule)
          + [[.insertBefore(file: rule.file, line: rule.line, text: Self.password)], behindPassword(rule)]
      }
    case "pam_dead_end", "pam_lockout": return options + jumpNumbers + blocks
    case "pam_bypass": return completions + jumpNumbers + blocks
    default: return []
    }
  }

  // MARK: Changes of our rule

  private var controls: [[Edit]] { ours.flatMap(controls) }

  private func controls(of rule: PAMRule?) -> [[Edit]] {
    guard let rule else { return [] }
    return ["required", "requisite"].filter { $0 != rule.control.text.asciiLowercased }
      .map { replacement(of: rule, rule.text(control: $0)) }
  }

  /// Without options of single-field programs.
  private var options: [[Edit]] {
    ours.flatMap { rule in ["use_first_pass", "try_first_pass", "forward_pass"].map { without(rule, $0) } }
  }

  private func without(_ rule: PAMRule, _ option: String) -> [Edit] {
    var changed = rule
    changed.arguments.removeAll { $0 == option || $0.hasPrefix(option + "=") }
    return changed == rule ? [] : replacement(of: rule, changed.text())
  }

  private static let password = "auth requisite pam_unix.so"

  /// Adds a password check, and removes `nullok`, with which the password alone would be enough.
  private func behindPassword(_ rule: PAMRule) -> [Edit] {
    var changed = rule
    changed.arguments.removeAll { $0 == "nullok" || $0.hasPrefix("nullok=") }
    return replacement(of: rule, Self.password) + [.insertAfter(file: rule.file, line: rule.line, text: changed.text())]
  }

  private func requiringPublicKey(_ rule: PAMRule) -> [Edit] {
    guard stacks.service == "sshd", passwords.isEmpty else { return [] }
    var changed = rule
    changed.arguments = rule.publicKeyArguments
    return replacement(of: rule, changed.text())
  }

  private var moves: [[Edit]] { ours.flatMap { moves(of: $0, as: $0.text()) } }

  /// Moves one of our rules, as `required`, and removes the others.
  private var relocations: [[Edit]] {
    ours.flatMap { rule in
      let others = ours.filter { $0 != rule }.flatMap(removal)
      return moves(of: rule, as: rule.text(control: "required")).map { $0 + others }
    }
  }

  /// To each place of its file and of those that include it.
  private func moves(of rule: PAMRule, as text: String) -> [[Edit]] {
    let inside = places(in: rule.file)
    let later = inside.filter { $0 > rule.line }
    let earlier = inside.filter { $0 < rule.line }.reversed()
    let best = [end(ofPasswordIn: rule.file)].compactMap { $0 }
    var targets = (best + later + earlier).map { (rule.file, $0) }
    var file = rule.file
    var seen: Set<String> = [file]
    while let origin = stacks.origins[file], seen.insert(origin.file).inserted {
      let places = places(in: origin.file)
      targets += (places.filter { $0 >= origin.line } + places.filter { $0 < origin.line }.reversed())
        .map { (origin.file, $0) }
      file = origin.file
    }
    return targets.map { file, line in [.insertAfter(file: file, line: line, text: text)] + removal(of: rule) }
  }

  /// The last line of the password check; nil if the file checks no password.
  private func end(ofPasswordIn file: String) -> Int? {
    let rules = rules.filter { $0.file == file }
    guard let last = rules.lastIndex(where: \.checksPassword) else { return nil }
    let permit = rules[last...].first { $0.name == "pam_permit" }
    return tree.numbers(of: (permit ?? rules[last]).line, in: file).upperBound
  }

  // MARK: Changes of other rules

  /// Other numbers for jumps, the nearest first.
  private var jumpNumbers: [[Edit]] {
    rules.flatMap { rule -> [[Edit]] in
      let numbers = Set(
        PAMResult.allCases.compactMap { result -> Int? in
          if case .jump(let count) = rule.control.action(on: result) { count } else { nil }
        })
      guard let number = numbers.min(), numbers.count == 1 else { return [] }
      return [1, -1, 2, -2, 3, -3, 4, -4].map { number + $0 }.filter { $0 > 0 }.map { other in
        replacement(of: rule, rule.text(control: Self.control(rule, jumpingTo: other, insteadOf: number)))
      }
    }
  }

  private static func control(_ rule: PAMRule, jumpingTo new: Int, insteadOf old: Int) -> String {
    rule.control.text.split(separator: "=\(old)").joined(separator: "=\(new)")
  }

  /// Keeps the success of other modules from ending the stack.
  private var completions: [[Edit]] {
    rules.filter { !$0.isTwoFactor && !$0.checksPassword && $0.control.action(on: .success) == .done }.map { rule in
      let isSimple = rule.control.text.asciiLowercased == "sufficient"
      let control = isSimple ? "optional" : rule.control.text.split(separator: "=done").joined(separator: "=ok")
      return replacement(of: rule, rule.text(control: control))
    }
  }

  /// Makes a wrong password end the stack.
  private var requisites: [[Edit]] {
    passwords.compactMap { rule in
      if case .jump = rule.control.action(on: .success) { return nil }
      return rule.control.text.asciiLowercased == "requisite"
        ? nil : replacement(of: rule, rule.text(control: "requisite"))
    }
  }

  /// Changes the rule that makes logins skip ours.
  private var causes: [[Edit]] {
    guard let rule = finding.cause, !rule.isTwoFactor, !rule.checksPassword else { return [] }
    // The administrator may want its failure to end the login.
    let restricts = [.bad, .die].contains(rule.control.action(on: .authenticationError))
    return restricts ? [replacement(of: rule, rule.text(control: "requisite"))] : [removal(of: rule)]
  }

  /// Removes pam_deny, or adds a success after it.
  private var refusals: [[Edit]] {
    let permit = "auth required pam_permit.so"
    return rules.filter { $0.name == "pam_deny" }.flatMap { rule in
      [removal(of: rule), [insertion(behind: rule, permit)]]
    } + ours.map { [insertion(behind: $0, permit)] }
  }

  /// Includes files instead of substacks: `die` and `done` in a substack end only the substack.
  private var includes: [[Edit]] {
    let origins = stacks.origins.values.filter { $0.isSubstack && $0.facility == .auth }.sorted {
      ($0.file, $0.line) < ($1.file, $1.line)
    }
    return origins.map { origin in
      tree.replacement(file: origin.file, line: origin.line, "auth include \(origin.target)")
    }
  }

  /// Makes a right password skip pam_deny and continue at pam_permit, before our rule.
  private var blocks: [[Edit]] {
    Set(passwords.map(\.file)).sorted().flatMap { file -> [[Edit]] in
      let rules = rules.filter { $0.file == file }
      guard let last = rules.lastIndex(where: \.checksPassword), let first = rules.firstIndex(where: \.checksPassword),
        let deny = rules[last...].firstIndex(where: { $0.name == "pam_deny" }),
        // A jump also counts the rules of included files.
        let start = self.rules.firstIndex(of: rules[first]), let end = self.rules.firstIndex(of: rules[deny]),
        self.rules[start...end].allSatisfy({ $0.file == file })
      else { return [] }
      let jumps = jumps(of: rules[first...deny].filter { !$0.isTwoFactor })
      let permit = rules[deny...].first { $0.name == "pam_permit" }
      let added = permit == nil ? [insertion(behind: rules[deny], "auth required pam_permit.so")] : []
      let place = permit ?? rules[deny]
      let early = rules[...deny].filter(\.isTwoFactor)
      let moves = { (text: (PAMRule) -> String) in
        early.flatMap { removal(of: $0) + [insertion(behind: place, text($0))] }
      }
      let late = rules[deny...].filter(\.isTwoFactor) + ours.filter { $0.file != file }
      return [
        jumps + added + moves { $0.text() },
        jumps + added + moves { $0.text(control: "required") } + late.flatMap { controls(of: $0).first ?? [] },
      ]
    }
  }

  /// `rules` begins with the first password, and ends with pam_deny.
  private func jumps(of rules: [PAMRule]) -> [Edit] {
    rules.enumerated().flatMap { index, rule -> [Edit] in
      let count = rules.count - 1 - index
      let action = rule.control.action(on: .success)
      if rule.checksPassword, action != .jump(count) {
        var control = "[success=\(count) default=ignore]"
        if case .jump(let old) = action { control = Self.control(rule, jumpingTo: count, insteadOf: old) }
        return replacement(of: rule, rule.text(control: control))
      }
      let isEnd = count == 0 && rule.control.action(on: .authenticationError) != .die
      return isEnd ? replacement(of: rule, rule.text(control: "requisite")) : []
    }
  }

  /// Lines that libpam rejects.
  private var problemLines: [[Edit]] {
    guard let problem = finding.problem else { return [] }
    let words = HostTree.words(of: problem.text).map(String.init)
    var edits: [[Edit]] = []
    if problem.text.hasSuffix("\r") {
      edits.append(tree.replacement(file: problem.file, line: problem.line, words.joined(separator: " ")))
    }
    if words.count >= 3, let first = words.first, PAMFacility(rawValue: first.asciiLowercased) != nil,
      !["include", "substack"].contains(words[1].asciiLowercased)
    {
      let rest = words[1].hasPrefix("[") ? words.drop { !$0.hasSuffix("]") }.dropFirst() : words.dropFirst(2)
      edits.append(
        tree.replacement(file: problem.file, line: problem.line, ([first, "required"] + rest).joined(separator: " ")))
    } else if words.count >= 3 {
      edits.append(
        tree.replacement(file: problem.file, line: problem.line, (["auth"] + words.dropFirst()).joined(separator: " ")))
    }
    return edits + [tree.removal(file: problem.file, line: problem.line)]
  }

  // MARK: Lines

  private func replacement(of rule: PAMRule, _ text: String) -> [Edit] { tree.replacement(of: rule, text) }

  private func removal(of rule: PAMRule) -> [Edit] { tree.removal(of: rule) }

  private func insertion(behind rule: PAMRule, _ text: String) -> Edit {
    let last = tree.numbers(of: rule.line, in: rule.file).upperBound
    return .insertAfter(file: rule.file, line: last, text: text)
  }

  /// The last lines of statements after which an auth rule can be inserted.
  private func places(in path: String) -> [Int] {
    guard let text = tree.text(of: path) else { return [] }
    let file = PAMFile(path: path, bytes: Array(text.utf8))
    return file.statements.filter { $0.facility == .auth || $0.facility == nil }.map {
      tree.numbers(of: $0.line, in: path).upperBound
    }
  }
}

extension Edit {
  /// Two edits of a place exclude each other.
  fileprivate var place: String { "\(file):\(line ?? 0)" }
}
