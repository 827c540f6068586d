import HostAccess

/// Finds services of programs with a single password field that ask for the code at a second prompt.
struct SingleFieldCheck {
  private let configuration: PAMConfiguration
  /// Whether `pam-auth-update --enable twofactor` has yet to be run.
  private let isPreview: Bool

  static let name = "single_field"

  private static let profile = "/usr/share/pam-configs/twofactor"
  private static let commonAuth = "/etc/pam.d/common-auth"
  private static let rule = "auth required pam_twofactor.so nullok"

  /// If no other service calls the module yet, checks the stacks as pam-auth-update would change them.
  init(_ configuration: PAMConfiguration) {
    let tree = configuration.tree
    let isUsed = configuration.services.contains {
      $0 != PAMService.password && SingleFieldProgram.using($0) == nil
        && !configuration.stacks(of: $0).chain(.auth).twoFactorIndexes.isEmpty
    }
    isPreview = !isUsed && tree.exists(Self.profile) && tree.exists(Self.commonAuth)
    let preview = isPreview ? tree.applying([.append(file: Self.commonAuth, text: Self.rule)]) : nil
    self.configuration = preview.map { PAMConfiguration(tree: $0) } ?? configuration
  }

  /// Each finding, with other edits to try if those of its remedy do not fix it.
  var findings: [(finding: Finding, others: [[Edit]])] {
    configuration.services.compactMap { service in
      guard let program = SingleFieldProgram.using(service) else { return nil }
      let stacks = configuration.stacks(of: service)
      let logins = ServiceLogins(
        stacks, configuration: configuration, model: PAMModuleModel(tree: configuration.tree))
      guard logins.asksForCode, !logins.isSingleField else { return nil }
      let candidates = SingleFieldStack(stacks, in: configuration.tree)?.candidates ?? []
      let finding = Finding.warning(
        Self.name, isPreview ? preview(service, program) : words(service, program),
        remedy: candidates.first?.text
          ?? "see \"Programs with a single password field\" in hosts.md, which comes with twofactor")
      return (finding, Array(candidates.dropFirst()))
    }
  }

  private func words(_ service: String, _ program: SingleFieldProgram) -> String {
    "the service \(service) asks for the code at a second prompt, but \(program.name) has a single field for the "
      + "password: enrolled users are refused"
  }

  private func preview(_ service: String, _ program: SingleFieldProgram) -> String {
    "pam-auth-update --enable twofactor adds a second prompt to the service \(service), but \(program.name) has a "
      + "single field for the password: enrolled users would be refused"
  }
}

/// Rewrites the file of a service so that pam_twofactor accepts password and code in one reply.
private struct SingleFieldStack {
  private let stacks: PAMServiceStacks
  private let path: String
  /// The lines of the file that check the password or ask for the code, themselves or by including another file.
  private let lines: [Int]
  private let ours: PAMRule
  private let text: [String]

  private static let passOptions = ["forward_pass", "try_first_pass", "use_first_pass", "echo_code"]

  /// Nil if the service has no file of its own, no line that asks for the code, or a line that continues on the next.
  init?(_ stacks: PAMServiceStacks, in tree: HostTree) {
    let rules = stacks.chain(.auth).rules
    guard let path = stacks.path, let ours = rules.first(where: \.isTwoFactor), let file = tree.text(of: path) else {
      return nil
    }
    (self.stacks, self.path, self.ours) = (stacks, path, ours)
    let affected = rules.filter { $0.isTwoFactor || $0.checksPassword }
    lines = Set(affected.compactMap { Self.line(of: $0, stacks, path) }).sorted()
    text = HostTree.lines(file).map(String.init)
    let count = text.count
    guard !lines.isEmpty, lines.allSatisfy({ $0 <= count }), !lines.contains(where: isContinued) else { return nil }
  }

  private func isContinued(_ line: Int) -> Bool { text[line - 1].last { $0 != " " && $0 != "\t" } == "\\" }

  /// The line of the service's file that contains a rule, or includes its file.
  private static func line(of rule: PAMRule, _ stacks: PAMServiceStacks, _ path: String) -> Int? {
    var (file, line) = (rule.file, rule.line)
    var seen: Set<String> = []
    while file != path {
      guard seen.insert(file).inserted, let origin = stacks.origins[file] else { return nil }
      (file, line) = (origin.file, origin.line)
    }
    return line
  }

  private func rules(_ facility: PAMFacility) -> [PAMRule] {
    stacks.chain(facility).rules.filter { rule in Self.line(of: rule, stacks, path).map(lines.contains) ?? false }
  }

  var candidates: [[Edit]] {
    let passwords = rules(.auth).filter { $0.checksPassword }
    let short = passwords.allSatisfy { $0.name == "pam_unix" } ? [["auth required pam_unix.so use_first_pass"]] : []
    return (short + [checks]).map(edits)
  }

  /// The lines that check the password, with included files expanded.
  private var checks: [String] {
    rules(.auth).filter { !$0.isTwoFactor }.map { rule in
      guard rule.checksPassword else { return rule.text() }
      var rule = rule
      rule.arguments = rule.arguments.filter { !Self.passOptions.contains($0) } + ["use_first_pass"]
      return rule.text()
    }
  }

  private func edits(_ checks: [String]) -> [Edit] {
    var rule = ours
    let kept = rule.arguments.filter { !Self.passOptions.contains(String($0.prefix { $0 != "=" })) }
    rule.arguments = ["forward_pass"] + kept
    // From the end of the file: line numbers stay valid if the edits are made one by one.
    let removals = lines.dropFirst().reversed().map { line in
      Edit.remove(file: path, line: line, text: HostTree.words(of: text[line - 1]).joined(separator: " "))
    }
    return removals + [.replace(file: path, line: lines[0], text: rule.text(control: "required"))]
      + (checks + others).map { .insertAfter(file: path, line: lines[0], text: $0) }
  }

  /// Keeps the other facilities of an `@include`.
  private var others: [String] {
    let targets = stacks.origins.values.filter { $0.file == path && $0.facility == nil && lines.contains($0.line) }
      .sorted { $0.line < $1.line }
    return targets.flatMap { target in
      PAMFacility.allCases.filter { facility in
        facility != .auth && rules(facility).contains { Self.line(of: $0, stacks, path) == target.line }
      }.map { "\($0.rawValue) include \(target.target)" }
    }
  }
}
