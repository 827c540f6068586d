/// Checks sshd's settings for logins that need a code.
struct SSHCheck {
  let settings: SSHSettings
  let configuration: SSHConfiguration
  /// Nil for unknown accounts.
  let account: TreeAccount?

  /// Methods that do not use PAM.
  private static let proofs: Set<String> = ["publickey", "hostbased", "gssapi-with-mic"]

  /// Whether a login must complete one of them before sshd calls PAM.
  static func isPreauthenticated(_ settings: SSHSettings) -> Bool {
    guard settings.isOn("pubkeyauthentication"), let methods = settings.methods else { return false }
    return isPreauthenticated(methods)
  }

  fileprivate static func isPreauthenticated(_ methods: [[String]]) -> Bool {
    methods.filter(usesPAM).allSatisfy { !proofs.isDisjoint(with: $0) }
  }

  fileprivate static func usesPAM(_ methods: [String]) -> Bool {
    methods.contains("keyboard-interactive") || methods.contains("password")
  }

  var findings: [Finding] {
    [usePAM, keyboardInteractive, passwords, methods, rootLogin, emptyPasswords].compactMap { $0 } + matches
  }

  private var usePAM: Finding {
    guard !settings.isOn("usepam") else { return .ok("ssh_use_pam", "sshd calls PAM") }
    return .failed(
      "ssh_use_pam",
      "UsePAM is no (\(settings.origin("usepam"))): sshd does not call PAM, so no login is asked for a code",
      remedy: settings.remedy("usepam", "yes"))
  }

  private var keyboardInteractive: Finding {
    let name = "ssh_keyboard_interactive"
    guard settings.isOn("kbdinteractiveauthentication") else {
      return .failed(
        name,
        "KbdInteractiveAuthentication is no (\(settings.origin("kbdinteractiveauthentication"))): sshd cannot ask for a "
          + "code",
        remedy: settings.remedy("kbdinteractiveauthentication", "yes"))
    }
    guard settings.methods?.contains(where: { $0.contains("keyboard-interactive") }) ?? true else {
      return .failed(
        name,
        "AuthenticationMethods has no keyboard-interactive (\(settings.origin("authenticationmethods"))): sshd never "
          + "asks for a code",
        remedy: settings.remedy("authenticationmethods", "publickey,keyboard-interactive:pam"))
    }
    return .ok(name, "sshd can ask for a code")
  }

  private var passwords: Finding {
    let name = "ssh_password_authentication"
    let isOffered = settings.methods?.contains { $0.contains("password") } ?? true
    guard settings.isOn("passwordauthentication"), isOffered else {
      return .ok(name, "the method \"password\", which cannot ask for a code, is disabled")
    }
    return .warning(
      name,
      "PasswordAuthentication is yes (\(settings.origin("passwordauthentication"))): a client that uses it sends the "
        + "password as the code, and is refused",
      remedy: settings.remedy("passwordauthentication", "no"))
  }

  private var methods: Finding {
    let name = "ssh_methods"
    guard let methods = settings.methods else {
      guard settings.isOn("pubkeyauthentication") else { return .ok(name, "public keys are not accepted") }
      return .ok(
        name,
        "a public key logs in without a code; to require both: AuthenticationMethods publickey,keyboard-interactive:pam"
      )
    }
    let without = methods.filter { !$0.contains("keyboard-interactive") }.map { $0.joined(separator: ",") }
    guard !without.isEmpty else { return .ok(name, "every method asks for a code") }
    return .ok(name, "no code is asked for after: \(without.joined(separator: " "))")
  }

  private var rootLogin: Finding {
    let name = "ssh_root_login"
    guard settings.isOn("permitrootlogin") else {
      return .ok(name, "PermitRootLogin is \(settings["permitrootlogin"].value)")
    }
    return .warning(
      name,
      "PermitRootLogin is yes (\(settings.origin("permitrootlogin"))): anyone can guess root's password remotely",
      remedy: settings.remedy("permitrootlogin", "prohibit-password"))
  }

  private var emptyPasswords: Finding? {
    guard settings.isOn("permitemptypasswords") else { return nil }
    return .warning(
      "ssh_empty_passwords", "PermitEmptyPasswords is yes (\(settings.origin("permitemptypasswords")))",
      remedy: settings.remedy("permitemptypasswords", "no"))
  }

  /// `Match` blocks that apply to unknown accounts.
  private var matches: [Finding] {
    guard account == nil else { return [] }
    return configuration.lines.compactMap { line in
      guard let match = line.match, let keyword = SSHSettings.keyword(line.keyword) else { return nil }
      let risky = ["passwordauthentication": "yes", "kbdinteractiveauthentication": "no", "usepam": "no"]
      guard risky[keyword] == line.value.lowercased(), settings[keyword].value.lowercased() != line.value.lowercased()
      else { return nil }
      // An administrator who requires only public keys, as for program accounts, did so on purpose.
      let isKeysOnly = configuration.lines.contains {
        $0.match == match && $0.keyword == "authenticationmethods" && !$0.value.contains("keyboard-interactive")
          && !$0.value.contains("password")
      }
      guard !isKeysOnly else { return nil }
      return .warning(
        "ssh_match", "\(line.place): \(line.keyword) is \(line.value) under Match \(match.joined(separator: " "))",
        remedy: Edit.remove(file: line.file, line: line.number, text: "\(line.keyword) \(line.value)").text
          + "\nif these logins must be asked for a code too; check with: twofactor doctor --user NAME")
    }
  }
}

/// Checks the settings that sshd reports, else those of its files.
struct SSHExamination {
  let settings: SSHSettings
  private let configuration: SSHConfiguration
  private let account: TreeAccount?
  private let rejection: String?
  private let tree: HostTree

  init(tree: HostTree, account: TreeAccount?) {
    self.tree = tree
    self.account = account
    configuration = SSHConfiguration(tree)
    var settings = configuration.settings(for: account)
    var rejection: String?
    if tree.isThisHost, configuration.path != nil {
      switch EffectiveSSHSettings.ask(for: account) {
      case .settings(let values): settings.adopt(values)
      case .rejected(let words): rejection = words
      case .unavailable: break
      }
    }
    self.settings = settings
    self.rejection = rejection
  }

  var service: String { settings["pamservicename"].value }

  var isPreauthenticated: Bool { SSHCheck.isPreauthenticated(settings) }

  /// The place of a `Match` block that lets logins reach PAM without such a method. Nil if there is none, or for one
  /// account, whose settings include its blocks.
  var exception: String? {
    guard account == nil else { return nil }
    return configuration.lines.first { line in
      guard line.match != nil, line.keyword == "authenticationmethods" else { return false }
      return SSHSettings.methods(in: line.value).map { !SSHCheck.isPreauthenticated($0) } ?? true
    }?.place
  }

  func findings(stack: PAMStack?) -> [Finding] {
    guard configuration.path != nil else { return [.skipped("ssh", "sshd has no configuration here")] }
    if let rejection {
      return [.failed("ssh", "sshd rejects its configuration: \(rejection)", remedy: "correct it; check with: sshd -t")]
    }
    guard let stack, !stack.twoFactorRules.isEmpty else {
      return [
        .skipped("ssh", "the PAM service \(service) does not call the module: SSH logins are not asked for a code")
      ]
    }
    return SSHCheck(settings: settings, configuration: configuration, account: account).findings
      + [hostNames(stack), requiredMethods(stack)].compactMap { $0 }
  }
  /// Options with addresses do not match host names. sshd ignores names that look like addresses.
  private func hostNames(_ stack: PAMStack) -> Finding? {
    let name = "ssh_use_dns"
    let needsAddresses = stack.twoFactorRules.contains { tree.options(of: $0)?.usesAddresses == true }
    guard needsAddresses else { return nil }
    guard settings.isOn("usedns") else { return .ok(name, "sshd reports numeric addresses to PAM") }
    return .warning(
      name,
      "UseDNS is yes (\(settings.origin("usedns"))): sshd reports the name of a client if it has one, and "
        + "trusted_networks and grace_period apply to numeric addresses alone",
      remedy: settings.remedy("usedns", "no"))
  }

  private func requiredMethods(_ stack: PAMStack) -> Finding? {
    let required = stack.twoFactorRules.flatMap { tree.options(of: $0)?.requiredMethods ?? [] }
    guard let first = required.first else { return nil }
    let lists = settings.methods ?? [["keyboard-interactive"]]
    let isOpen = lists.contains { SSHCheck.usesPAM($0) && !Set(required).isDisjoint(with: $0) }
    guard !isOpen else { return .ok("ssh_required_method", "sshd completes a required method before it calls PAM") }
    return .warning(
      "ssh_required_method",
      "AuthenticationMethods is \(settings["authenticationmethods"].value) "
        + "(\(settings.origin("authenticationmethods"))): no login passes \(required.joined(separator: " or ")) before PAM "
        + "is called, so require_method refuses all of them",
      remedy: settings.remedy("authenticationmethods", "\(first),keyboard-interactive:pam"))
  }
}
