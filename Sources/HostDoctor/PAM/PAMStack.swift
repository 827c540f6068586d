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

struct PAMConfiguration {
  let tree: HostTree

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
    guard let path = path(of: service) else { return nil }
    var reading = Reading(configuration: self)
    let steps = reading.steps(of: path, facility: "auth", depth: 0)
    for facility in ["account", "password", "session"] {
      reading.misplaced += reading.rules(of: path, facility: facility)
    }
    return PAMStack(
      service: service, steps: steps, origins: reading.origins, misplaced: reading.misplaced,
      problems: reading.problems)
  }

  /// Directly or indirectly included files.
  func included(by name: String) -> Set<String> {
    var found: Set<String> = []
    var left = [name]
    while let name = left.popLast() {
      for statement in file(named: name)?.statements ?? [] {
        switch statement {
        case .include(_, let target, _, _), .includeAll(let target, _):
          if found.insert(target).inserted { left.append(target) }
        case .rule, .invalid: continue
        }
      }
    }
    return found.subtracting([name])
  }

  /// Nil if no such file exists.
  func path(of name: String) -> String? {
    if name.hasPrefix("/") { return tree.exists(name) ? name : nil }
    return PAMService.folders.map { "\($0)/\(name)" }.first { tree.exists($0) }
  }

  fileprivate func file(named name: String) -> PAMFile? {
    guard let path = path(of: name), let text = tree.text(of: path) else { return nil }
    return PAMFile(path: path, text: text)
  }
}

private struct Reading {
  let configuration: PAMConfiguration
  var misplaced: [PAMRule] = []
  var problems: [PAMStack.Problem] = []
  var origins: [String: PAMStack.Origin] = [:]

  private static let maximumDepth = 16

  init(configuration: PAMConfiguration) { self.configuration = configuration }

  mutating func steps(of name: String, facility: String, depth: Int) -> [PAMStack.Step] {
    guard let file = configuration.file(named: name) else { return [] }
    var steps: [PAMStack.Step] = []
    for statement in file.statements {
      switch statement {
      case .rule(let rule):
        if rule.facility == facility { steps.append(.rule(rule)) }
      case .invalid(let line, let text):
        report("is invalid: \(text)", file.path, line, text, facility)
      case .include(let itsFacility, let target, let isSubstack, let line):
        guard itsFacility == facility else { continue }
        let origin = PAMStack.Origin(file: file.path, line: line, target: target, isSubstack: isSubstack)
        let more = included(origin, facility: facility, depth: depth)
        if isSubstack { steps.append(.substack(more)) } else { steps += more }
      case .includeAll(let target, let line):
        let origin = PAMStack.Origin(file: file.path, line: line, target: target, isSubstack: false)
        steps += included(origin, facility: facility, depth: depth)
      }
    }
    return steps
  }

  mutating func rules(of name: String, facility: String) -> [PAMRule] {
    PAMStack(
      service: name, steps: steps(of: name, facility: facility, depth: 0), origins: [:], misplaced: [], problems: []
    ).twoFactorRules
  }

  private mutating func included(_ origin: PAMStack.Origin, facility: String, depth: Int) -> [PAMStack.Step] {
    let (target, file, line) = (origin.target, origin.file, origin.line)
    guard depth < Self.maximumDepth else {
      report("includes itself: \(target)", file, line, "… \(target)", facility)
      return []
    }
    guard let path = configuration.path(of: target) else {
      report("includes a file that does not exist: \(target)", file, line, "… \(target)", facility)
      return []
    }
    if facility == "auth", origins[path] == nil { origins[path] = origin }
    return steps(of: target, facility: facility, depth: depth + 1)
  }

  private mutating func report(_ words: String, _ file: String, _ line: Int, _ text: String, _ facility: String) {
    guard facility == "auth" else { return }
    let problem = PAMStack.Problem(
      words: "\(file), line \(line), \(words)", edit: .remove(file: file, line: line, text: text))
    if !problems.contains(problem) { problems.append(problem) }
  }
}
