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
    let paths = Set(rules.map(\.module).filter { $0.hasPrefix("/") }).sorted()
    let search = RemedySearch(before: host)

    var findings = ModuleFileCheck(tree: tree, isUsed: !rules.isEmpty, paths: paths).findings
    findings += host.ofFiles.map { search.verified($0, in: \.ofFiles) }
    findings += host.ofUnits.map { search.verified($0, in: \.ofUnits) }
    findings.append(RegisterCheck(tree: tree).finding(of: rules))
    findings += services(host, search)
    findings += host.ofPrograms.map { search.verified($0, in: \.ofPrograms) }
    findings += host.ofSSH.map { finding in
      let others = finding.name == "pam_code_alone" ? host.passwordlessRemedies : []
      return search.verified(finding, in: \.ofSSH, or: others)
    }
    findings.append(ClockCheck.finding(of: tree))
    return findings.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  private func services(_ host: HostFindings, _ search: RemedySearch) -> [Finding] {
    let name = "pam_stacks"
    guard !host.services.isEmpty else {
      return [
        .warning(
          name, "no PAM service calls pam_twofactor.so: no login is asked for a code",
          remedy: tree.exists("/usr/share/pam-configs/twofactor")
            ? "pam-auth-update --enable twofactor"
            : "in /etc/pam.d/sshd, after the password check: auth required pam_twofactor.so nullok")
      ]
    }
    let wrong = Set(host.ofStacks.flatMap(\.services))
    let correct = host.services.filter { !wrong.contains($0) }
    let findings = host.ofStacks.filter { !$0.finding.isToldElsewhere }.map { search.finding($0.finding, $0.services) }
    guard !correct.isEmpty else { return findings }
    return [.ok(name, "asks for a code after the password: \(correct.joined(separator: ", "))")] + findings
  }
}
