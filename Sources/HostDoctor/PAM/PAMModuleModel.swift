/// What the modules of a host can return.
final class PAMModuleModel {
  private struct Place: Hashable {
    let file: String
    let line: Int
  }

  private let tree: HostTree
  private lazy var installed = tree.modules
  private lazy var groups = LocalGroups(tree: tree)
  private var behaviors: [Place: (rule: PAMRule, behavior: PAMModuleBehavior)] = [:]

  init(tree: HostTree) { self.tree = tree }

  /// The possible outcomes of a call. Never empty.
  func outcomes(of call: PAMModuleCall) -> PAMModuleOutcomes { behavior(of: call.rule).outcomes(of: call) }

  /// The result of pam_sm_setcred(3) after a result of pam_sm_authenticate(3).
  func setCredentials(_ rule: PAMRule, authentication: PAMResult?) -> PAMResult {
    switch behavior(of: rule).credentials {
    case .constant(let result): result
    case .repeated: authentication ?? .success
    }
  }

  private func behavior(of rule: PAMRule) -> PAMModuleBehavior {
    let place = Place(file: rule.file, line: rule.line)
    if let known = behaviors[place], known.rule == rule { return known.behavior }
    let behavior = makeBehavior(of: rule)
    behaviors[place] = (rule, behavior)
    return behavior
  }

  private func makeBehavior(of rule: PAMRule) -> PAMModuleBehavior {
    let name = rule.name
    if rule.facility == .account { return accountBehavior(of: rule) }
    if installed.lack(rule.module) || rule.hasCarriageReturn || PAMModuleTable.withoutAuthentication.contains(name) {
      return .constant(.moduleUnknown, credentials: .moduleUnknown)
    }
    if rule.isTwoFactor {
      let twoFactor = TwoFactorRule(rule, tree: tree)
      return PAMModuleBehavior { PAMModuleOutcomes(all: [twoFactor.outcome(of: $0)]) }
    }
    if let (authentication, credentials) = PAMModuleTable.constants[name] {
      return .constant(authentication, credentials: credentials)
    }
    if name == "pam_sss", rule.has("try_cert_auth") || rule.has("require_cert_auth") {
      return .factor(rule, FactorModule(unavailable: [.informationUnavailable]))
    }
    if name == "pam_ccreds", rule.has("action=validate") {
      return .password(rule, PasswordModule(), isDirectory: false)
    }
    if name == "pam_userdb", rule.value(of: "db") == nil { return .constant(.serviceError) }
    if let module = PAMModuleTable.passwords[name] { return .password(rule, module) }
    if let module = PAMModuleTable.factors[name] { return .factor(rule, module) }
    if let module = PAMModuleTable.codes[name] { return .code(rule, module) }
    return special(rule) ?? condition(rule) ?? .unknown(rule)
  }

  /// The behavior of pam_sm_acct_mgmt(3). Source, unless noted: Linux-PAM modules/NAME/NAME.c.
  private func accountBehavior(of rule: PAMRule) -> PAMModuleBehavior {
    let name = rule.name
    if installed.lack(rule.module) || rule.hasCarriageReturn || PAMAccountTable.withoutAccounts.contains(name) {
      return .constant(.moduleUnknown)
    }
    if rule.isTwoFactor {
      let twoFactor = TwoFactorRule(rule, tree: tree)
      return PAMModuleBehavior { PAMModuleOutcomes(all: [twoFactor.outcome(of: $0)]) }
    }
    if let result = PAMAccountTable.constants[name] { return .constant(result) }
    if let results = PAMAccountTable.directories[name] ?? (rule.checksPassword ? PAMAccountTable.directory : nil) {
      return .condition(rule.distinct(rule.withoutIgnored(results)), key: name + " account")
    }
    // The same function as for authentication.
    if PAMAccountTable.likeAuthentication.contains(name), let behavior = special(rule) ?? condition(rule) {
      return behavior
    }
    switch name {
    case "pam_debug": return .constant(rule.value(of: "acct").flatMap(PAMResult.init(name:)) ?? .success)
    case "pam_exec":
      guard !rule.arguments.isEmpty else { return .constant(.serviceError) }
      let options = rule.arguments.prefix { !$0.hasPrefix("/") }.map(\.asciiLowercased)
      if options.contains(where: { $0.hasPrefix("type=") && $0 != "type=account" }) { return .constant(.ignore) }
      return .condition([.success, .systemError], key: "account " + rule.moduleKey)
    case "pam_stress":
      return .constant(
        rule.has("fail_1") ? .permissionDenied : rule.has("expired") ? .newTokenRequired : .success)
    case "pam_time":
      let path = rule.value(of: "conffile") ?? "/etc/security/time.conf"
      let hasRules = tree.lines(of: path).contains { line in
        line.first { $0 != " " && $0 != "\t" }.map { $0 != "#" } ?? false
      }
      return hasRules ? .condition([.success, .permissionDenied], key: rule.moduleKey) : .constant(.success)
    case "pam_userdb":
      guard rule.value(of: "db") != nil else { return .constant(.serviceError) }
      return .condition([.success, .userUnknown], key: "pam_userdb account")
    default: return .unknown(rule)
    }
  }

  private func condition(_ rule: PAMRule) -> PAMModuleBehavior? {
    guard let (met, unmet, credentials) = PAMModuleTable.conditions[rule.name] else { return nil }
    return .condition([met, unmet], key: rule.moduleKey, credentials: credentials)
  }

  /// Modules whose result depends on their arguments. Source, unless noted: Linux-PAM modules/NAME/NAME.c.
  private func special(_ rule: PAMRule) -> PAMModuleBehavior? {
    switch rule.name {
    case "pam_debug":
      return .constant(
        rule.value(of: "auth").flatMap(PAMResult.init(name:)) ?? .success,
        credentials: rule.value(of: "cred").flatMap(PAMResult.init(name:)) ?? .success)
    case "pam_succeed_if":
      // Depends on the service, so it is evaluated at each call.
      let groups = groups
      return PAMModuleBehavior(credentials: .constant(.ignore)) { call in
        let condition = SucceedIfCondition(
          rule.arguments, service: call.service, isRoot: call.isRoot, isEmpty: groups.isEmpty)
        return PAMModuleOutcomes(
          key: condition.results.count > 1 ? condition.key : nil, all: condition.results.map { .init(result: $0) })
      }
    case "pam_usertype":
      let key = "pam_usertype" + (rule.has("use_uid") ? " use_uid" : "")
      let last = rule.arguments.last { $0 == "isregular" || $0 == "issystem" }
      guard let last else { return .constant(.serviceError, credentials: .ignore) }
      let results: [PAMResult] = [.success, .authenticationError]
      return .condition(last == "isregular" ? results : results.reversed(), key: key, credentials: .ignore)
    case "pam_nologin":
      let result = rule.has("successok") ? PAMResult.success : .ignore
      return .constant(result, credentials: result)
    case "pam_echo":
      guard rule.value(of: "file") != nil else { return .constant(.success, credentials: .ignore) }
      return .condition([.success, .ignore], key: rule.moduleKey, credentials: .ignore)
    case "pam_exec":
      guard !rule.arguments.isEmpty else { return .constant(.serviceError, credentials: .ignore) }
      let options = rule.arguments.prefix { !$0.hasPrefix("/") }.map(\.asciiLowercased)
      if options.contains(where: { $0.hasPrefix("type=") && $0 != "type=auth" }) {
        return .constant(.ignore, credentials: .ignore)
      }
      return .condition(
        [.success, .systemError], key: rule.moduleKey, credentials: .ignore,
        storesPassword: options.contains("expose_authtok"))
    case "pam_cap":
      // pam_cap/pam_cap.c of libcap: capabilities, then users; `*` means all.
      let path = rule.value(of: "config") ?? "/etc/security/capability.conf"
      let users = tree.lines(of: path).flatMap { line in
        line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }.dropFirst()
      }
      guard !users.isEmpty else { return .constant(.ignore) }
      return users.contains("*") ? .constant(.success) : .condition([.success, .ignore], key: rule.moduleKey)
    case "pam_faillock":
      // Assumes that no account is locked. Without an action, it checks as with `preauth`.
      let action = rule.arguments.last { ["preauth", "authsucc", "authfail"].contains($0) }
      guard action == "authfail" else { return .constant(.success) }
      guard rule.has("local_users_only") else { return .constant(.ignore) }
      return .condition([.ignore, .success], key: "pam_localuser")
    case "pam_listfile":
      let words = rule.arguments.filter { $0 != "quiet" && !$0.hasPrefix("sense=") && !$0.hasPrefix("onerr=") }
      let results: [PAMResult] = [.success, .authenticationError]
      let listed = rule.value(of: "sense") == "deny" ? results.reversed() : results
      // `apply=` is ignored for these items.
      let isAboutUser = ["user", "ruser", "group"].contains(rule.value(of: "item"))
      let ignored: [PAMResult] = rule.value(of: "apply") == nil || isAboutUser ? [] : [.ignore]
      return .condition(listed + ignored, key: "pam_listfile " + words.joined(separator: " "))
    case "pam_wheel": return wheel(rule)
    case "pam_sepermit", "pam_selinux_permit":
      // If SELinux is enforcing, the users in the file pass.
      let hasUsers = tree.lines(of: "/etc/security/sepermit.conf").contains { line in
        line.first { $0 != " " && $0 != "\t" }.map { $0 != "#" } ?? false
      }
      guard hasUsers else { return .constant(.ignore, credentials: .ignore) }
      return .condition([.ignore, .success, .authenticationError], key: "pam_sepermit", credentials: .ignore)
    case "pam_ftp":
      return PAMModuleBehavior(credentials: .constant(.ignore)) {
        PAMModuleOutcomes(all: [.init(result: .authenticationError, token: $0.answerToPassword)])
      }
    case "pam_stress":
      return .storing(
        rule.has("fail_1") ? .permissionDenied : .success,
        credentials: rule.has("fail_2") ? .credentialsError : .success)
    // kwallet-pam pam_kwallet.c; pam_mount(8).
    case "pam_kwallet", "pam_kwallet5": return .storing(.ignore)
    case "pam_mount": return .storing(.success)
    // libpam-ccreds README: `store` and `update`.
    case "pam_ccreds": return .constant(.success)
    default: return nil
    }
  }

  private func wheel(_ rule: PAMRule) -> PAMModuleBehavior {
    // Affects only logins as root.
    if rule.has("root_only") { return .constant(.ignore) }
    let key = "pam_wheel \(rule.value(of: "group") ?? "") \(rule.has("use_uid"))"
    let passing = rule.has("trust") ? PAMResult.success : .ignore
    // A group that does not exist has no members.
    let results =
      rule.has("deny")
      ? [.permissionDenied, passing] : [passing] + rule.distinct([.permissionDenied, .authenticationError])
    return .condition(results, key: key)
  }
}
