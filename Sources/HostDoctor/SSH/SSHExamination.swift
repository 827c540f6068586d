import Glibc

/// Checks sshd for an ordinary login, and for one login in each `Match` block.
struct SSHExamination {
  private let tree: HostTree
  private let configuration: SSHConfiguration
  private var ordinary: Case
  private var blocks: [Case] = []
  private var notes: [Finding] = []
  private var rejection: String?
  /// Whether `sshd -T` reported its settings.
  private var isAccepted = false

  private struct Case {
    var settings: SSHSettings
    let login: SSHConnection
    let block: SSHMatch?
  }

  private static let maximumBlocks = 32
  private static let name = "ssh_match"

  /// `account`: the only user to check; nil for all.
  init(tree: HostTree, account: TreeAccount?) {
    self.tree = tree
    let configuration = SSHConfiguration(tree)
    self.configuration = configuration
    let connections = SSHConnections(configuration, tree: tree, account: account)
    let login = connections.ordinary
    ordinary = Case(settings: configuration.settings(for: login), login: login, block: nil)
    var cases = [ordinary]
    let relevant = configuration.relevantBlocks
    for index in relevant.prefix(Self.maximumBlocks) {
      let block = configuration.blocks[index]
      if let login = connections.login(in: index) {
        cases.append(Case(settings: configuration.settings(for: login), login: login, block: block))
      } else if account == nil,
        let finding = Self.unchecked(configuration.enclosing(index).map { configuration.blocks[$0] })
      {
        notes.append(finding)
      }
    }
    if relevant.count > Self.maximumBlocks {
      let first = configuration.blocks[relevant[Self.maximumBlocks]]
      notes.append(
        .skipped(Self.name, "only \(Self.maximumBlocks) Match blocks are checked: not \(first.place), nor later ones"))
    }
    if tree.isThisHost, !tree.isEdited, configuration.path != nil {
      compare(&cases)
    }
    ordinary = cases[0]
    blocks = Array(cases.dropFirst())
  }

  /// The PAM service that sshd calls.
  var service: String { ordinary.settings[.pamServiceName] }

  /// Whether the findings report logins without a password through the service.
  func covers(_ service: String) -> Bool {
    configuration.path != nil && configuration.problem == nil && rejection == nil && service == self.service
  }

  /// A PAM service.
  struct Stack {
    /// Those that call the module.
    let rules: [PAMRule]
    let logins: ServiceLogins
    /// How the service enrolls users at login; nil if it does not.
    var guidance: EnrollmentGuidance?
  }

  /// `stack`: the service that sshd calls. `other` returns the service that a `Match` block names.
  func findings(of stack: Stack, other: (String) -> Stack? = { _ in nil }) -> [Finding] {
    let name = "ssh"
    guard configuration.path != nil else { return [.skipped(name, "sshd is not configured")] }
    if let problem = configuration.problem, problem.isUnreadable, geteuid() != 0 {
      return [.skipped(name, "\(problem.place), \(problem.words)")]
    }
    if let rejection { return [Self.rejected(rejection)] }
    if let problem = configuration.problem {
      let words = "\(problem.place), \(problem.words)"
      guard isAccepted || problem.isLimit else { return [Self.rejected(words)] }
      return [
        .warning(name, "\(words): the settings of sshd were not checked", remedy: "check with: sshd -T -C user=NAME")
      ]
    }
    guard !stack.rules.isEmpty else {
      return [
        .skipped(name, "the PAM service \(service) does not call the module: SSH logins are not asked for a code")
      ]
    }
    let own = check(ordinary, stack)
    var found = own
    for each in blocks {
      guard let block = each.block, each.settings != ordinary.settings else { continue }
      let other = each.settings[.pamServiceName] == service ? nil : other(each.settings[.pamServiceName])
      for finding in check(each, other ?? stack) where finding.status != .ok {
        guard !own.contains(where: { $0.name == finding.name && $0.detail == finding.detail }) else { continue }
        let isNamed = finding.detail.contains(block.place)
        let detail = isNamed ? finding.detail : "under Match \(block.text) (\(block.place)): \(finding.detail)"
        let isOfBlock = [
          "ssh_keyboard_interactive", "ssh_password_authentication", "ssh_service", "ssh_enrollment",
        ].contains(finding.name)
        found.append(
          Finding(
            name: isOfBlock ? Self.name : finding.name, status: finding.status, detail: detail, remedy: finding.remedy))
      }
    }
    return found + notes
  }

  private static func rejected(_ words: String) -> Finding {
    .failed("ssh", "sshd rejects its configuration: \(words)", remedy: "correct it; check with: sshd -t")
  }

  private func check(_ each: Case, _ stack: Stack) -> [Finding] {
    let options = stack.rules.compactMap { tree.options(of: $0) }
    return SSHCheck(
      settings: each.settings, login: each.login, block: each.block, service: stack.logins, rules: stack.rules,
      // The module trusts this service alone to report methods.
      requiredMethods: stack.logins.service == "sshd" ? options.flatMap(\.requiredMethods) : [],
      usesAddresses: options.contains(where: \.usesAddresses), guidance: stack.guidance
    ).findings
  }

  /// Nil if no login can succeed in the block.
  private static func unchecked(_ chain: [SSHMatch]) -> Finding? {
    let criteria = chain.flatMap(\.criteria)
    guard !criteria.contains(.invalidUser), let block = chain.last else { return nil }
    for case .unknown(let word) in criteria {
      return .warning(
        name, "\(block.place): the block was not checked, because its criterion \(word) depends on the release of sshd",
        remedy: "check with: sshd -T -C user=NAME,addr=ADDRESS")
    }
    return .skipped(
      name, "\(block.place): the block was not checked, because no login was found that matches it: \(block.text)")
  }

  // MARK: Comparison with sshd -T

  /// Adopts the settings that sshd reports.
  private mutating func compare(_ cases: inout [Case]) {
    let start = ContinuousClock.now
    for index in cases.indices {
      guard ContinuousClock.now - start < .seconds(10) else {
        notes.append(.skipped("ssh", "sshd -T is slow: \(cases.count - index) Match blocks were not compared with it"))
        return
      }
      let login = cases[index].login
      guard configuration.isComparable(login) else { continue }
      switch SSHReport.ask(login) {
      case .unavailable: return
      case .rejected(let words):
        rejection = words
        return
      case .settings(let values):
        isAccepted = true
        let differences = cases[index].settings.adopt(values)
        guard !differences.isEmpty else { continue }
        notes.append(
          .warning(
            "ssh", "sshd -T reports \(differences.joined(separator: ", ")) for \(login.specification)",
            remedy: "check with: sshd -T -C \(login.specification)"))
      }
    }
  }
}
