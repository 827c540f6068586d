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
    let configuration = PAMConfiguration(tree: tree)
    let all = configuration.names.compactMap(configuration.stack(of:))
    let stacks = all.filter { !$0.twoFactorRules.isEmpty || !$0.misplaced.isEmpty }
    let rules = stacks.flatMap(\.twoFactorRules).reduce(into: [PAMRule]()) { if !$0.contains($1) { $0.append($1) } }
    let paths = Set(rules.map(\.module).filter { $0.hasPrefix("/") }).sorted()
    let ssh = SSHExamination(tree: tree, account: account)

    var findings = ModuleFileCheck(tree: tree, isUsed: !rules.isEmpty, paths: paths).findings
    findings += SettingsCheck(tree: tree, rules: rules).findings
    findings += GuessingCheck(tree: tree, rules: rules).findings
    findings += GroupSourceCheck(tree: tree, rules: rules).findings
    findings.append(RegisterCheck(tree: tree).finding(of: rules))
    findings += self.findings(of: stacks, in: configuration, ssh: ssh)
    findings += ssh.findings(stack: all.first { $0.service == ssh.service })
    findings.append(ClockCheck.finding(of: tree))
    return findings.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// Checks each service together with the files that it includes.
  private func findings(of stacks: [PAMStack], in configuration: PAMConfiguration, ssh: SSHExamination) -> [Finding] {
    let name = "pam_stacks"
    let included = stacks.reduce(into: Set<String>()) { $0.formUnion(configuration.included(by: $1.service)) }
    let services = stacks.filter { !included.contains($0.service) && $0.service != PAMService.password }
    guard !services.isEmpty else {
      return [
        .warning(
          name, "no PAM service calls pam_twofactor.so: no login is asked for a code",
          remedy: tree.exists("/usr/share/pam-configs/twofactor")
            ? "pam-auth-update --enable twofactor"
            : "in /etc/pam.d/sshd, after the password check: auth required pam_twofactor.so nullok")
      ]
    }
    var findings: [Finding] = []
    var correct: [String] = []
    for stack in services {
      let isOfSSH = stack.service == ssh.service
      let options = ServiceOptionCheck(tree: tree, stack: stack, others: stacks)
      let more =
        StackCheck(
          stack, isPreauthenticated: options.requiresMethod || isOfSSH && ssh.isPreauthenticated,
          exception: options.requiresMethod || !isOfSSH ? nil : ssh.exception
        ).findings + options.findings
      if more.isEmpty { correct.append(stack.service) }
      findings += more
    }
    if !correct.isEmpty {
      findings.insert(.ok(name, "asks for a code after the password: \(correct.joined(separator: ", "))"), at: 0)
    }
    return findings
  }
}
