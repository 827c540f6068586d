/// Checks the settings that sshd uses for a login.
struct SSHCheck {
  let settings: SSHSettings
  let login: SSHConnection
  /// The `Match` block that is checked; nil for the ordinary login.
  let block: SSHMatch?
  let service: ServiceLogins
  /// The rules of the service that call the module.
  let rules: [PAMRule]
  /// The methods of the option `require_method`; empty if it is not set.
  let requiredMethods: [String]
  let usesAddresses: Bool
  /// How the service enrolls users at login; nil if it does not.
  let guidance: EnrollmentGuidance?

  private static let both = "publickey,keyboard-interactive:pam"

  private var logins: SSHLogins {
    SSHLogins(settings: settings, service: service, requiredMethods: requiredMethods)
  }

  var findings: [Finding] {
    [
      usePAM, pamService, keyboardInteractive, passwords, methods, codeAlone, rootLogin, emptyPasswords, hostNames,
      requiredMethod, enrollment, graceTime,
    ].compactMap { $0 }
  }

  /// Proposes no change if `sshd -T` contradicts the files.
  private func remedy(_ edits: Edit...) -> String {
    settings.isCertain ? edits.text : "check with: sshd -T -C \(login.specification)"
  }

  /// Sets the keyword, or removes its line if that is in a `Match` block. `isIntentional`: the administrator may have
  /// wanted the line.
  private func switching(_ keyword: SSHKeyword, _ value: String, isIntentional: Bool) -> String {
    guard block != nil, settings.isCertain, let line = settings.line(keyword), line.match != nil else {
      return remedy(settings.edit(keyword, value))
    }
    let removal = Edit.remove(file: line.file, line: line.number, text: line.text).text
    guard isIntentional else { return removal }
    return removal + "\nif these logins must be asked for a code too; check with: twofactor doctor --user NAME"
  }

  // MARK: Asking for a code

  private var usePAM: Finding {
    guard !settings.isOn(.usePAM) else { return .ok("ssh_use_pam", "sshd calls PAM") }
    return .failed(
      "ssh_use_pam",
      "UsePAM is no (\(settings.origin(.usePAM))): sshd does not call PAM, so no login is asked for a code",
      remedy: remedy(settings.edit(.usePAM, "yes")))
  }

  /// A service of a `Match` block.
  private var pamService: Finding? {
    guard block != nil, rules.isEmpty, settings.methods.contains(where: SSHLogins.usesPAM) else { return nil }
    return .warning(
      "ssh_service",
      "PAMServiceName is \(service.service) (\(settings.origin(.pamServiceName))): this service does not call the "
        + "module, so no code is asked for",
      remedy: switching(.pamServiceName, "sshd", isIntentional: true))
  }

  private var keyboardInteractive: Finding {
    let name = "ssh_keyboard_interactive"
    let methods = settings.methods
    if methods.contains(where: { $0.contains("keyboard-interactive") }) { return .ok(name, "sshd can ask for a code") }
    if service.isSingleField, methods.contains(where: { $0.contains("password") }) {
      return .ok(name, "the method \"password\" accepts password and code in one reply")
    }
    // An administrator who requires only public keys, as for program accounts, did so on purpose.
    if settings.line(.authenticationMethods)?.match != nil, !methods.isEmpty,
      methods.allSatisfy({ $0.allSatisfy { $0 == "publickey" } })
    {
      return .ok(name, "public keys are required, and no code")
    }
    let status: Finding.Status = block == nil || methods.isEmpty ? .failed : .warning
    let effect = methods.isEmpty ? "no login is possible" : "sshd cannot ask for a code"
    guard settings.isOn(.keyboardInteractive) else {
      return Finding(
        name: name, status: status,
        detail: "KbdInteractiveAuthentication is no (\(settings.origin(.keyboardInteractive))): \(effect)",
        remedy: switching(.keyboardInteractive, "yes", isIntentional: !methods.isEmpty))
    }
    let lists =
      "AuthenticationMethods is \(settings[.authenticationMethods]) (\(settings.origin(.authenticationMethods)))"
    if methods.isEmpty, let keyword = settings.missingMethod {
      return Finding(
        name: name, status: status, detail: "\(lists), but \(keyword) is no (\(settings.origin(keyword))): \(effect)",
        remedy: switching(keyword, "yes", isIntentional: false))
    }
    return Finding(
      name: name, status: status, detail: "\(lists), without keyboard-interactive: sshd never asks for a code",
      remedy: remedy(settings.edit(.authenticationMethods, listsWithPrompts)))
  }

  /// The lists of methods with keyboard-interactive instead of passwords, so that no user needs a key who did not.
  private var listsWithPrompts: String {
    guard service.enrolled?.alternatives.contains(where: { $0.contains(.password) }) == true else { return Self.both }
    var lists: [String] = []
    for list in settings[.authenticationMethods].split(separator: " ") {
      let others = list.split(separator: ",").map(String.init).filter { $0 != "password" && $0 != "none" }
      let text = (others + ["keyboard-interactive:pam"]).joined(separator: ",")
      if !lists.contains(text) { lists.append(text) }
    }
    return lists.joined(separator: " ")
  }

  private var passwords: Finding {
    let name = "ssh_password_authentication"
    let lists = settings.methods.filter { $0.contains("password") }
    guard !lists.isEmpty else { return .ok(name, "the method \"password\", which cannot ask for a code, is disabled") }
    if settings.isOn(.kerberos), service.asksForCode {
      return .failed(
        name,
        "KerberosAuthentication is yes (\(settings.origin(.kerberos))): sshd checks a password itself, and asks for no code",
        remedy: switching(.kerberos, "no", isIntentional: false))
    }
    let isRefused = logins.ways.filter { lists.contains($0.methods) }.allSatisfy(\.enrolled.isRefused)
    guard isRefused else { return .ok(name, "a login by the method \"password\" can pass the stack") }
    return .warning(
      name,
      "PasswordAuthentication is yes (\(settings.origin(.password))): a client that uses it sends the password as the "
        + "code, and is refused",
      remedy: switching(.password, "no", isIntentional: true))
  }

  private var methods: Finding? {
    let name = "ssh_methods"
    if settings[.authenticationMethods] == "any" {
      guard settings.isOn(.publicKey) else { return .ok(name, "public keys are not accepted") }
      return .ok(
        name, "a public key logs in without a code; to require both: AuthenticationMethods \(Self.both)")
    }
    let without = settings.methods.filter { !$0.contains("keyboard-interactive") }.map { $0.joined(separator: ",") }
    guard !without.isEmpty else { return .ok(name, "every method asks for a code") }
    return .ok(name, "these methods log in without a code: \(without.joined(separator: " "))")
  }

  // MARK: Logins without a password or as root

  /// If the stack asks for no password, sshd must require a public key first.
  private var codeAlone: Finding? {
    guard let enrolled = service.enrolled, let unenrolled = service.unenrolled, let rule = rules.first,
      !enrolled.alternatives.union(unenrolled.alternatives).contains(where: { $0.contains(.password) }),
      let open = logins.ways.first(where: { !$0.hasProof && !($0.enrolled.isRefused && $0.unenrolled.isRefused) })
    else { return nil }
    let isOpen = open.unenrolled.alternatives.contains([])
    let effect =
      open.enrolled.alternatives.contains([])
      ? "nothing is needed to log in"
      : isOpen ? "users who are not enrolled need nothing to log in" : "the code alone is enough to log in"
    let isEverywhere = !logins.ways.contains { $0.hasProof && SSHLogins.usesPAM($0.methods) }
    guard settings.line(.authenticationMethods) != nil, block != nil || !isEverywhere else {
      return .failed(
        "pam_code_alone", "the service \(service.service) asks for no password: \(effect)",
        remedy: remedy(.insertBefore(file: rule.file, line: rule.line, text: "auth requisite pam_unix.so")))
    }
    return .failed(
      "pam_code_alone",
      "AuthenticationMethods is \(settings[.authenticationMethods]) (\(settings.origin(.authenticationMethods))): sshd calls "
        + "PAM without a public key there, and the service \(service.service) asks for no password: \(effect)",
      remedy: remedy(rule.requiringPublicKey, settings.edit(.authenticationMethods, Self.both)))
  }

  private var rootLogin: Finding {
    let name = "ssh_root_login"
    guard settings.isOn(.rootLogin) else {
      // With `prohibit-password`, sshd rejects every method that calls PAM for root, even after a public key.
      let isRefused = settings[.rootLogin] == "prohibit-password" && settings.methods.allSatisfy(SSHLogins.usesPAM)
      return .ok(name, "PermitRootLogin is \(settings[.rootLogin])\(isRefused ? ": root cannot log in" : "")")
    }
    return .warning(
      name, "PermitRootLogin is yes (\(settings.origin(.rootLogin))): anyone can guess root's password remotely",
      remedy: remedy(settings.edit(.rootLogin, "prohibit-password")))
  }

  private var emptyPasswords: Finding? {
    guard settings.isOn(.emptyPasswords) else { return nil }
    return .warning(
      "ssh_empty_passwords", "PermitEmptyPasswords is yes (\(settings.origin(.emptyPasswords)))",
      remedy: remedy(settings.edit(.emptyPasswords, "no")))
  }

  // MARK: Options of the module

  /// Options with addresses do not match host names. sshd ignores names that look like addresses.
  private var hostNames: Finding? {
    let name = "ssh_use_dns"
    guard usesAddresses else { return nil }
    guard settings.isOn(.useDNS) else { return .ok(name, "sshd reports numeric addresses to PAM") }
    return .warning(
      name,
      "UseDNS is yes (\(settings.origin(.useDNS))): sshd reports the host name of a client that has one, "
        + "but trusted_networks and grace_period apply only to numeric addresses",
      remedy: remedy(settings.edit(.useDNS, "no")))
  }

  /// Only keyboard-interactive shows the questions of the account phase.
  private var enrollment: Finding? {
    let name = "ssh_enrollment"
    guard let guidance, settings.isOn(.usePAM) else { return nil }
    if let finding = earlyEnrollment { return finding }
    let lists = settings.methods
    let keys = lists.filter { !SSHLogins.usesPAM($0) }.map { $0.joined(separator: ",") }
    let passwords = lists.filter { $0.contains("password") && !$0.contains("keyboard-interactive") }
    let canAsk = lists.contains { $0.contains("keyboard-interactive") }
    var parts: [String] = []
    if canAsk { parts.append("keyboard-interactive leads users who are not enrolled through enrollment") }
    if !passwords.isEmpty {
      let effect = guidance.isRequired ? "it refuses users who are not enrolled" : "it offers no enrollment"
      parts.append("the method \"password\" shows no questions: \(effect)")
    }
    if !keys.isEmpty { parts.append("logins with \(keys.joined(separator: ", ")) alone are not asked to enroll") }
    let detail = parts.joined(separator: "; ")
    guard guidance.isRequired, !canAsk, !passwords.isEmpty else { return detail.isEmpty ? nil : .ok(name, detail) }
    return .warning(
      name, "\(detail), so nobody can enroll at login",
      remedy: settings.isOn(.keyboardInteractive)
        ? remedy(settings.edit(.authenticationMethods, listsWithPrompts))
        : switching(.keyboardInteractive, "yes", isIntentional: true))
  }

  private static let prompts = "keyboard-interactive"

  /// sshd runs the account phase at the end of keyboard-interactive, even if the list has other methods after it.
  private var earlyEnrollment: Finding? {
    let lists = settings.methods
    for list in lists {
      // With a shorter list, the login ends there.
      guard let end = list.firstIndex(of: Self.prompts), !lists.contains(Array(list[...end])) else { continue }
      let missing = list[(end + 1)...].joined(separator: ", ")
      let asksNothing = service.unenrolled?.alternatives.contains([]) ?? false
      let isOpen = asksNothing && !SSHLogins.haveProof(Array(list[..<end]))
      return Finding(
        name: "ssh_enrollment", status: isOpen ? .failed : .warning,
        detail:
          "AuthenticationMethods is \(settings[.authenticationMethods]) (\(settings.origin(.authenticationMethods))): "
          + "keyboard-interactive enrolls users before sshd checks \(missing), so a client can enroll "
          + (isOpen ? "without authentication" : "without \(missing)"),
        remedy: listsWithPromptsLast.map { remedy(settings.edit(.authenticationMethods, $0)) }
          ?? "name keyboard-interactive once in each list, as the last method")
    }
    return nil
  }

  /// The lists of methods with keyboard-interactive last; nil if a list contains it twice, or would equal another list.
  private var listsWithPromptsLast: String? {
    let lists = settings[.authenticationMethods].split(separator: " ").map { $0.split(separator: ",").map(String.init) }
    func isPrompts(_ method: String) -> Bool { method == Self.prompts || method.hasPrefix(Self.prompts + ":") }
    let sorted = lists.map { list in list.filter { !isPrompts($0) } + list.filter(isPrompts) }
    guard sorted.allSatisfy({ $0.count(where: isPrompts) < 2 }) else { return nil }
    let distinct = Set(sorted.map { list in list.map { isPrompts($0) ? Self.prompts : $0 } })
    return distinct.count == sorted.count ? sorted.map { $0.joined(separator: ",") }.joined(separator: " ") : nil
  }

  /// Installing an app and scanning a QR code takes time.
  private var graceTime: Finding? {
    guard guidance != nil, settings.isOn(.usePAM), let seconds = Int(settings[.loginGraceTime]),
      (1..<Self.graceTimeForEnrollment).contains(seconds),
      settings.methods.contains(where: { $0.contains("keyboard-interactive") })
    else { return nil }
    return .warning(
      "ssh_login_grace_time",
      "LoginGraceTime is \(seconds) seconds (\(settings.origin(.loginGraceTime))): too short for an enrollment at login",
      remedy: remedy(settings.edit(.loginGraceTime, "\(Self.graceTimeForEnrollment)")))
  }

  private static let graceTimeForEnrollment = 120

  private var requiredMethod: Finding? {
    let name = "ssh_required_method"
    guard let first = requiredMethods.first else { return nil }
    let lists = settings.methods.filter(SSHLogins.usesPAM)
    guard !lists.isEmpty else { return nil }
    guard lists.allSatisfy(logins.isRefused) else {
      return .ok(name, "sshd completes a required method before it calls PAM")
    }
    return .warning(
      name,
      "AuthenticationMethods is \(settings[.authenticationMethods]) (\(settings.origin(.authenticationMethods))): no login "
        + "completes \(requiredMethods.joined(separator: " or ")) before sshd calls PAM, so require_method refuses all logins",
      remedy: remedy(settings.edit(.authenticationMethods, "\(first),keyboard-interactive:pam")))
  }
}
