import Enrollment
import Glibc
import HostAccess

/// Everything that `doctor` looks at, in the order in which it is told.
package struct HostExamination {
  let tree: HostTree
  /// The account that it is about; nil for all of them.
  let account: TreeAccount?
  /// The settings of the host; the defaults if the file cannot be used.
  package var settings: HostSettings { SettingsCheck(tree: tree, rules: []).settings }

  package init(tree: HostTree, account: TreeAccount?) {
    self.tree = tree
    self.account = account
  }

  package var findings: [Finding] {
    let configuration = PAMConfiguration(tree: tree)
    let stacks = configuration.names.compactMap(configuration.stack(of:))
    let naming = stacks.filter { !$0.twoFactorRules.isEmpty || !$0.misplaced.isEmpty }
    let rules = naming.flatMap(\.twoFactorRules).reduce(into: [PAMRule]()) { if !$0.contains($1) { $0.append($1) } }
    let settings = SettingsCheck(tree: tree, rules: rules)
    let ssh = SSHExamination(tree: tree, account: account)

    var findings = ModuleFileCheck(
      tree: tree, isNamed: !rules.isEmpty, paths: Set(rules.map(\.module).filter { $0.hasPrefix("/") }).sorted()
    ).findings
    findings += settings.findings
    findings += self.findings(of: naming, in: configuration, ssh: ssh)
    findings += ssh.findings(stack: stacks.first { $0.service == ssh.service })
    findings.append(ClockCheck.finding(of: tree))
    return findings.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  /// Of each service what is wrong with it; a file that is there to be included is judged where it is included.
  private func findings(of naming: [PAMStack], in configuration: PAMConfiguration, ssh: SSHExamination) -> [Finding] {
    let name = "pam_stacks"
    let included = naming.reduce(into: Set<String>()) { $0.formUnion(configuration.included(by: $1.service)) }
    let services = naming.filter { !included.contains($0.service) && $0.service != HostSettings.passwordService }
    guard !services.isEmpty else {
      return [
        .warning(
          name, "no PAM service names pam_twofactor.so: nobody is asked for a code",
          remedy: tree.exists("/usr/share/pam-configs/twofactor")
            ? "pam-auth-update --enable twofactor"
            : "in /etc/pam.d/sshd, behind the check of the password: auth required pam_twofactor.so nullok")
      ]
    }
    var findings: [Finding] = []
    var sound: [String] = []
    for stack in services {
      let isProvedBefore = stack.service == ssh.service && SSHCheck.isProvedBefore(ssh.settings)
      let more = StackCheck(stack, isProvedBefore: isProvedBefore).findings
      if more.isEmpty { sound.append(stack.service) }
      findings += more
    }
    if !sound.isEmpty {
      findings.insert(.ok(name, "asks for a code after the password: \(sound.joined(separator: ", "))"), at: 0)
    }
    return findings
  }
}

/// sshd's settings, from sshd itself where it can be asked, else from its files.
private struct SSHExamination {
  let configuration: SSHConfiguration
  let settings: SSHSettings
  let refusal: String?
  let account: TreeAccount?

  init(tree: HostTree, account: TreeAccount?) {
    self.account = account
    configuration = SSHConfiguration(tree)
    var settings = configuration.settings(for: account)
    var refusal: String?
    if tree.isThisHost, configuration.path != nil {
      switch EffectiveSSHSettings.ask(for: account) {
      case .settings(let values): settings.adopt(values)
      case .refused(let words): refusal = words
      case .unavailable: break
      }
    }
    self.settings = settings
    self.refusal = refusal
  }

  /// The PAM service that sshd asks.
  var service: String { settings["pamservicename"].value }

  func findings(stack: PAMStack?) -> [Finding] {
    guard configuration.path != nil else { return [.skipped("ssh", "there is no configuration of sshd")] }
    if let refusal {
      return [.failed("ssh", "sshd refuses its configuration: \(refusal)", remedy: "correct it; look with: sshd -t")]
    }
    guard let stack, !stack.twoFactorRules.isEmpty else {
      return [.skipped("ssh", "the PAM service \(service) does not name the module: SSH logins are asked for no code")]
    }
    return SSHCheck(settings: settings, configuration: configuration, account: account).findings
  }
}
