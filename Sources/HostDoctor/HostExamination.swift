import Glibc
import HostAccess

/// Runs all checks except those of this host's enrollments.
package struct HostExamination {
  let tree: HostTree
  /// Nil for all accounts.
  let account: TreeAccount?

  package init(tree: HostTree, account: TreeAccount?) {
    self.tree = tree
    self.account = account
  }

  /// The defaults if the file is unusable.
  package var settings: HostSettings { SettingsCheck(tree: tree, rules: []).settings }

  package var findings: [Finding] {
    let host = HostFindings(tree: tree, account: account)
    let rules = host.rules
    let paths = Set((rules + host.accountRules).map(\.module).filter { $0.hasPrefix("/") }).sorted()
    let search = RemedySearch(before: host)

    var findings = ModuleFileCheck(tree: tree, isUsed: !rules.isEmpty || !host.accountRules.isEmpty, paths: paths)
      .findings
    findings += host.ofFiles.map { search.verified($0, in: \.ofFiles) }
    findings += host.ofUnits.map { search.verified($0, in: \.ofUnits) }
    findings.append(RegisterCheck(tree: tree).finding(of: rules))
    findings += HostStoreCheck(tree: tree).findings(of: rules)
    findings += PostgreSQLCheck(tree: tree).findings(of: rules + host.accountRules)
    findings += services(host, search) + unread(host) + enrollment(host)
    findings += host.ofPrograms.map { finding, others in
      search.verified(finding, in: { $0.ofPrograms.map(\.finding) }, or: others)
    }
    findings += host.ofSSH.map { finding in
      let others = finding.name == "pam_code_alone" ? host.passwordlessRemedies : []
      return search.verified(finding, in: \.ofSSH, or: others)
    }
    findings.append(ClockCheck.finding(of: tree))
    return findings.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private func services(_ host: HostFindings, _ search: RemedySearch) -> [Finding] {
    let name = "pam_stacks"
    let findings = host.ofStacks.filter { !$0.finding.isReportedElsewhere }
      .map { search.finding($0.finding, $0.services) }
    guard !host.services.isEmpty else {
      return [
        .warning(
          name, "no PAM service calls pam_twofactor.so: no login is asked for a code",
          remedy: tree.exists("/usr/share/pam-configs/twofactor")
            ? "pam-auth-update --enable twofactor"
            : search.firstRule()?.text ?? "add it to a stack: man pam_twofactor")
      ] + findings
    }
    let wrong = Set(host.ofStacks.flatMap(\.services))
    let failures = (host.ofFiles + host.ofUnits).filter { $0.status == .failed }
    let correct = host.services.filter { service in
      !wrong.contains(service) && host.state(of: service).logins.asksForCode
        && !host.configuration.stacks(of: service).twoFactorRules.contains { rule in
          let places = [rule.place + ":", tree.configuration(of: rule)]
          return failures.contains { failure in places.contains { failure.detail.hasPrefix($0) } }
        }
    }
    guard !correct.isEmpty else { return findings }
    return [.ok(name, "asks for a code after the password: \(correct.joined(separator: ", "))")] + findings
  }

  /// Names the services that enroll users at login.
  private func enrollment(_ host: HostFindings) -> [Finding] {
    let name = "enrollment_at_login"
    let all = host.services.compactMap(host.guidance)
    guard !all.isEmpty else { return [.skipped(name, "no service enrolls users at login")] }
    let (silent, asking) = (all.filter(\.showsNoQuestions), all.filter { !$0.showsNoQuestions })
    var findings: [Finding] = []
    for words in asking.map(\.words).uniqued {
      let services = asking.filter { $0.words == words }.map(\.service).joined(separator: ", ")
      findings.append(.ok(name, "users who are not enrolled are led through enrollment by \(services): \(words)"))
    }
    for isRequired in [true, false] {
      let services = silent.filter { $0.isRequired == isRequired }.map(\.service).joined(separator: ", ")
      guard !services.isEmpty else { continue }
      let effect = isRequired ? "refuse users who are not enrolled" : "offer no enrollment"
      findings.append(.ok(name, "programs with a single password field show no questions, and \(effect): \(services)"))
    }
    let lockers = host.services.filter { service in
      SingleFieldProgram.skippingAccounts.contains(service)
        && host.configuration.stacks(of: service).twoFactorRules.contains {
          tree.options(of: $0).map { $0.enrollment != .no } ?? false
        }
    }
    guard !lockers.isEmpty else { return findings }
    let words = "screen lockers that skip the account stack accept the password alone of users who are not enrolled"
    return findings + [.ok(name, "\(words): \(lockers.joined(separator: ", "))")]
  }

  /// Services that cannot be read completely, so that it is unknown whether they call the module.
  private func unread(_ host: HostFindings) -> [Finding] {
    let known = Set(host.services)
    var services: [String: [String]] = [:]
    for service in host.configuration.services where !known.contains(service) && !HostFindings.isBackup(service) {
      let stacks = host.configuration.stacks(of: service)
      let problem = stacks.problems.first.map { "\($0.file), line \($0.line), \($0.words)" }
      if let words = stacks.obstacle ?? problem { services[words, default: []].append(service) }
    }
    return services.sorted { $0.key < $1.key }.map { words, names in
      let more = names.count > 5 ? " and \(names.count - 5) more" : ""
      let detail = "the stack of \(names.prefix(5).joined(separator: ", "))\(more) is incomplete: \(words)"
      guard geteuid() == 0 else { return .skipped("pam_evaluation", detail) }
      return .warning("pam_evaluation", detail, remedy: "correct the file, then run: twofactor doctor")
    }
  }
}

extension EnrollmentGuidance {
  /// Whether the program of the service replies to every prompt with the password.
  fileprivate var showsNoQuestions: Bool { SingleFieldProgram.using(service) != nil }

  fileprivate var words: String {
    let kind = isRequired ? "required" : day.map { "offered, required from \($0) on" } ?? "offered"
    return networks.isEmpty ? kind : "\(kind), from \(networks.joined(separator: ", ")) alone"
  }
}

extension [String] {
  fileprivate var uniqued: [String] { reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
}
