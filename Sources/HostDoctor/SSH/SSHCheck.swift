/// Looks at sshd's settings for logins that are to be asked for a code.
struct SSHCheck {
  let settings: SSHSettings
  let configuration: SSHConfiguration
  /// Whom the settings hold for; nil for nobody in particular.
  let account: TreeAccount?

  private static let proofs: Set<String> = ["publickey", "hostbased", "gssapi-with-mic"]

  /// Whether whoever reaches PAM's questions has proved who it is by other means.
  static func isProvedBefore(_ settings: SSHSettings) -> Bool {
    guard settings.isOn("pubkeyauthentication"), let methods = settings.methods else { return false }
    return methods.filter { $0.contains("keyboard-interactive") || $0.contains("password") }
      .allSatisfy { !proofs.isDisjoint(with: $0) }
  }

  var findings: [Finding] {
    [usePAM, keyboardInteractive, passwords, methods, rootLogin, emptyPasswords].compactMap { $0 } + matches
  }

  private var usePAM: Finding {
    guard !settings.isOn("usepam") else { return .ok("ssh_use_pam", "sshd asks PAM") }
    return .failed(
      "ssh_use_pam",
      "UsePAM is no (\(settings.origin("usepam"))): sshd does not ask PAM, so nobody is asked for a code",
      remedy: settings.remedy("usepam", "yes"))
  }

  private var keyboardInteractive: Finding {
    let name = "ssh_keyboard_interactive"
    let isOffered = settings.methods?.contains { $0.contains("keyboard-interactive") } ?? true
    guard settings.isOn("kbdinteractiveauthentication") else {
      return .failed(
        name,
        "KbdInteractiveAuthentication is no (\(settings.origin("kbdinteractiveauthentication"))): a code cannot be "
          + "asked for",
        remedy: settings.remedy("kbdinteractiveauthentication", "yes"))
    }
    guard isOffered else {
      return .failed(
        name,
        "AuthenticationMethods has no keyboard-interactive (\(settings.origin("authenticationmethods"))): a code is "
          + "never asked for",
        remedy: settings.remedy("authenticationmethods", "publickey,keyboard-interactive:pam"))
    }
    return .ok(name, "sshd asks for a code through PAM's conversation")
  }

  private var passwords: Finding {
    let name = "ssh_password_authentication"
    let isOffered = settings.methods?.contains { $0.contains("password") } ?? true
    guard settings.isOn("passwordauthentication"), isOffered else {
      return .ok(name, "the method \"password\", in which a code cannot be asked for, is off")
    }
    return .warning(
      name,
      "PasswordAuthentication is yes (\(settings.origin("passwordauthentication"))): a client that uses it sends its "
        + "password in the place of the code, which is refused and counts as a wrong one",
      remedy: settings.remedy("passwordauthentication", "no"))
  }

  private var methods: Finding {
    let name = "ssh_methods"
    guard let methods = settings.methods else {
      guard settings.isOn("pubkeyauthentication") else { return .ok(name, "keys are not accepted") }
      return .ok(
        name,
        "a public key logs in without a code; to ask for both: AuthenticationMethods publickey,keyboard-interactive:pam"
      )
    }
    let around = methods.filter { !$0.contains("keyboard-interactive") }.map { $0.joined(separator: ",") }
    guard !around.isEmpty else { return .ok(name, "every way to log in asks for a code") }
    return .ok(name, "no code is asked for after: \(around.joined(separator: " "))")
  }

  private var rootLogin: Finding {
    let name = "ssh_root_login"
    guard settings.isOn("permitrootlogin") else {
      return .ok(name, "PermitRootLogin is \(settings["permitrootlogin"].value)")
    }
    return .warning(
      name,
      "PermitRootLogin is yes (\(settings.origin("permitrootlogin"))): root's password is asked for from outside",
      remedy: settings.remedy("permitrootlogin", "prohibit-password"))
  }

  private var emptyPasswords: Finding? {
    guard settings.isOn("permitemptypasswords") else { return nil }
    return .warning(
      "ssh_empty_passwords", "PermitEmptyPasswords is yes (\(settings.origin("permitemptypasswords")))",
      remedy: settings.remedy("permitemptypasswords", "no"))
  }

  /// `Match` blocks, of which it is not known whom they will apply to.
  private var matches: [Finding] {
    guard account == nil else { return [] }
    return configuration.lines.compactMap { line in
      guard let match = line.match, let keyword = SSHSettings.keyword(line.keyword) else { return nil }
      let risky = ["passwordauthentication": "yes", "kbdinteractiveauthentication": "no", "usepam": "no"]
      guard risky[keyword] == line.value.lowercased(), settings[keyword].value.lowercased() != line.value.lowercased()
      else { return nil }
      // Keys alone, for an account of a program, is a decision and no mistake.
      let isKeysOnly = configuration.lines.contains {
        $0.match == match && $0.keyword == "authenticationmethods" && !$0.value.contains("keyboard-interactive")
          && !$0.value.contains("password")
      }
      guard !isKeysOnly else { return nil }
      return .warning(
        "ssh_match", "\(line.place): \(line.keyword) is \(line.value) under Match \(match.joined(separator: " "))",
        remedy: Edit.remove(file: line.file, line: line.number, text: "\(line.keyword) \(line.value)").text
          + "\nif a code is to be asked for there too; look with: twofactor doctor --user NAME")
    }
  }
}
