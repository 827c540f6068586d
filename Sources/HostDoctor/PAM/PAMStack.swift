import HostAccess

/// The auth stack of a service, with included files.
struct PAMStack {
  indirect enum Step: Equatable {
    case rule(PAMRule)
    /// In a substack, `done` and `die` end only the substack.
    case substack([Step])
  }

  struct Origin: Equatable {
    let file: String
    let line: Int
    let target: String
    let isSubstack: Bool
  }

  struct Problem: Equatable {
    let words: String
    let edit: Edit
  }

  let service: String
  let steps: [Step]
  /// The first line that includes a file, by the path of the file.
  let origins: [String: Origin]
  /// Rules that call the module for a facility other than auth.
  let misplaced: [PAMRule]
  let problems: [Problem]

  var rules: [PAMRule] { Self.rules(of: steps) }

  var twoFactorRules: [PAMRule] { rules.filter(\.isTwoFactor) }

  private static func rules(of steps: [Step]) -> [PAMRule] {
    steps.flatMap { step -> [PAMRule] in
      switch step {
      case .rule(let rule): [rule]
      case .substack(let steps): rules(of: steps)
      }
    }
  }
}

extension PAMConfiguration {
  /// All services and included files.
  var names: [String] {
    Set(PAMService.folders.flatMap { tree.names(in: $0) }).filter { !Self.isBackup($0) }.sorted()
  }

  /// Whether a package manager or an editor left the file.
  private static func isBackup(_ name: String) -> Bool {
    name.hasPrefix(".") || name.hasSuffix("~")
      || [".bak", ".orig", ".rpmsave", ".rpmnew", ".swp", ".pam-old"].contains { name.hasSuffix($0) }
      || name.contains(".dpkg-") || name.contains(".ucf-")
  }

  /// Nil if the service has no file.
  func stack(of service: String) -> PAMStack? {
    let stacks = stacks(of: service)
    guard stacks.path != nil else { return nil }
    var handlers = stacks.chain(.auth).handlers[...]
    return PAMStack(
      service: service, steps: Self.steps(&handlers, level: 0),
      origins: stacks.origins.mapValues {
        PAMStack.Origin(file: $0.file, line: $0.line, target: $0.target, isSubstack: $0.isSubstack)
      },
      misplaced: [.account, .password, .session].flatMap { stacks.chain($0).rules.filter(\.isTwoFactor) },
      problems: stacks.problems.map {
        PAMStack.Problem(
          words: "\($0.file), line \($0.line), \($0.words)",
          edit: .remove(file: $0.file, line: $0.line, text: $0.text))
      })
  }

  private static func steps(_ handlers: inout ArraySlice<PAMHandler>, level: Int) -> [PAMStack.Step] {
    var steps: [PAMStack.Step] = []
    while let handler = handlers.first, handler.level >= level {
      handlers.removeFirst()
      if let rule = handler.rule { steps.append(.rule(rule)) }
      if case .substack = handler.kind { steps.append(.substack(Self.steps(&handlers, level: level + 1))) }
    }
    return steps
  }

  /// Directly or indirectly included files.
  func included(by name: String) -> Set<String> {
    Set(stacks(of: name).origins.values.map(\.target)).subtracting([name])
  }
}

extension PAMControl {
  func action(on name: String) -> Action { action(on: PAMResult(name: name) ?? .incomplete) }
}

extension PAMRule {
  /// Whether pam_twofactor prompts for password and code at once, and forwards the password.
  var forwardsPassword: Bool { isTwoFactor && arguments.contains { $0 == "forward_pass" || $0 == "forward_pass=yes" } }
}
