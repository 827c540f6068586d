/// The auth stack of one service, with everything that it includes.
struct PAMStack {
  /// One step.
  indirect enum Step: Equatable {
    case rule(PAMRule)
    /// A stack of its own: what ends it does not end what it stands in.
    case substack([Step])
  }

  /// The line that includes a file.
  struct Origin: Equatable {
    let file: String
    let line: Int
    /// The name by which it includes it.
    let target: String
    let isSubstack: Bool
  }

  /// Something in a file that libpam does not understand.
  struct Problem: Equatable {
    let words: String
    /// What takes it away.
    let edit: Edit
  }

  let service: String
  let steps: [Step]
  /// Where each file that is included is included first.
  let origins: [String: Origin]
  /// Lines that name the module for something else than auth.
  let misplaced: [PAMRule]
  /// What is wrong with the files.
  let problems: [Problem]

  /// Every line, in the order in which libpam comes by.
  var rules: [PAMRule] { Self.rules(of: steps) }

  /// The lines that name the module.
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

/// Reads the PAM configuration of a host.
struct PAMConfiguration {
  /// Where services are, the first folder before the second.
  static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]

  let tree: HostTree

  /// The names of all services and of the files that they include.
  var names: [String] {
    var names: Set<String> = []
    for folder in Self.folders {
      for name in tree.names(in: folder) where !Self.isCopy(name) { names.insert(name) }
    }
    return names.sorted()
  }

  /// Copies that package managers and editors leave are no services that anything uses.
  private static func isCopy(_ name: String) -> Bool {
    name.hasPrefix(".") || name.hasSuffix("~")
      || [".bak", ".orig", ".rpmsave", ".rpmnew", ".swp", ".pam-old"].contains { name.hasSuffix($0) }
      || name.contains(".dpkg-") || name.contains(".ucf-")
  }

  /// The stack of a service; nil where it has no file.
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

  /// The files that a file includes, and those that they include.
  func included(by name: String) -> Set<String> {
    var found: Set<String> = []
    var left = [name]
    while let name = left.popLast() {
      guard let file = file(named: name) else { continue }
      for statement in file.statements {
        switch statement {
        case .include(_, let target, _, _), .includeAll(let target, _):
          if found.insert(target).inserted { left.append(target) }
        case .rule, .broken: continue
        }
      }
    }
    return found.subtracting([name])
  }

  fileprivate func path(of name: String) -> String? {
    if name.hasPrefix("/") { return tree.exists(name) ? name : nil }
    return Self.folders.map { "\($0)/\(name)" }.first { tree.exists($0) }
  }

  fileprivate func file(named name: String) -> PAMFile? {
    guard let path = path(of: name), let text = tree.text(of: path) else { return nil }
    return PAMFile(path: path, text: text)
  }
}

/// One reading of a service's files.
private struct Reading {
  let configuration: PAMConfiguration
  var misplaced: [PAMRule] = []
  var problems: [PAMStack.Problem] = []
  var origins: [String: PAMStack.Origin] = [:]

  private static let deepest = 16

  init(configuration: PAMConfiguration) { self.configuration = configuration }

  mutating func steps(of name: String, facility: String, depth: Int) -> [PAMStack.Step] {
    guard let file = configuration.file(named: name) else { return [] }
    var steps: [PAMStack.Step] = []
    for statement in file.statements {
      switch statement {
      case .rule(let rule):
        if rule.facility == facility { steps.append(.rule(rule)) }
      case .broken(let line, let text):
        note("cannot be understood: \(text)", file.path, line, text, facility)
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

  /// The lines of another facility that name the module.
  mutating func rules(of name: String, facility: String) -> [PAMRule] {
    PAMStack(
      service: name, steps: steps(of: name, facility: facility, depth: 0), origins: [:], misplaced: [], problems: []
    ).twoFactorRules
  }

  private mutating func included(_ origin: PAMStack.Origin, facility: String, depth: Int) -> [PAMStack.Step] {
    let (target, file, line) = (origin.target, origin.file, origin.line)
    guard depth < Self.deepest else {
      note("includes itself: \(target)", file, line, "… \(target)", facility)
      return []
    }
    guard let path = configuration.path(of: target) else {
      note("includes a file that is not there: \(target)", file, line, "… \(target)", facility)
      return []
    }
    if facility == "auth", origins[path] == nil { origins[path] = origin }
    return steps(of: target, facility: facility, depth: depth + 1)
  }

  private mutating func note(_ words: String, _ file: String, _ line: Int, _ text: String, _ facility: String) {
    guard facility == "auth" else { return }
    let problem = PAMStack.Problem(
      words: "\(file), line \(line), \(words)", edit: .remove(file: file, line: line, text: text))
    if !problems.contains(problem) { problems.append(problem) }
  }
}
