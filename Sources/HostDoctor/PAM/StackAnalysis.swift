/// Evaluates a stack for every relevant combination of module results.
struct StackAnalysis {
  /// The password modules that succeed.
  enum Password: Equatable {
    case none
    case one(Int)
    case all
  }

  struct Run {
    let trial: PAMTrial
    let asked: Int
  }

  let stack: PAMStack
  let passwords: [PAMRule]
  let conditions: [PAMRule]
  let others: [PAMRule]

  static let refusals = ["auth_err", "maxtries", "authinfo_unavail", "conv_err", "service_err"]

  /// Each condition doubles the number of runs; any further ones succeed.
  private static let maximumConditions = 8

  init(_ stack: PAMStack) {
    self.stack = stack
    let rules = stack.rules
    passwords = rules.filter { PAMModules.passwords.contains($0.name) }
    others = rules.filter { PAMModules.otherFactors.contains($0.name) }
    conditions = Array(rules.filter(PAMModules.isCondition).prefix(Self.maximumConditions))
  }

  /// One run for each combination of conditions. `code` is the result of pam_twofactor; `other` is a rule of another
  /// factor that succeeds.
  func runs(password: Password, code: String, other: PAMRule? = nil) -> [Run] {
    (0..<(1 << conditions.count)).map { combination in
      let trial = PAMTrial(stack) { rule in
        if rule.isTwoFactor { return code }
        if let index = passwords.firstIndex(of: rule) {
          return password == .all || password == .one(index) ? "success" : "auth_err"
        }
        if others.contains(rule) { return rule == other ? "success" : "auth_err" }
        if let index = conditions.firstIndex(of: rule) {
          return combination & 1 << index != 0 ? "success" : "auth_err"
        }
        return PAMModules.usualResult(of: rule)
      }
      return Run(trial: trial, asked: trial.called.filter(\.isTwoFactor).count)
    }
  }

  var rightPasswords: [Password] { passwords.indices.map(Password.one) + (passwords.count > 1 ? [.all] : []) }

  /// Without a password in the stack, sshd may have verified a public key.
  func runsWithRightPassword(code: String) -> [Run] {
    guard !passwords.isEmpty else { return runs(password: .none, code: code) }
    return rightPasswords.flatMap { runs(password: $0, code: code) }
  }
}

/// Evaluates a stack for given results of modules, as Linux-PAM's `_pam_dispatch_aux` does.
struct PAMTrial {
  private(set) var passes = false
  private(set) var called: [PAMRule] = []

  private enum Impression {
    case undefined
    case positive
    case negative
  }

  private struct State {
    var impression = Impression.undefined
    var isSuccess = false
  }

  init(_ stack: PAMStack, result: (PAMRule) -> String) {
    var state = State()
    run(stack.steps, &state, result)
    passes = state.impression == .positive && state.isSuccess
  }

  private mutating func run(_ steps: [PAMStack.Step], _ state: inout State, _ result: (PAMRule) -> String) {
    let before = state
    var index = 0
    while index < steps.count {
      let step = steps[index]
      index += 1
      guard case .rule(let rule) = step else {
        if case .substack(let inner) = step { run(inner, &state, result) }
        continue
      }
      called.append(rule)
      let value = result(rule)
      let action = rule.control.action(on: value)
      switch action {
      case .ignore: continue
      case .reset: state = before
      case .ok, .done:
        if value != "ignore",
          state.impression == .undefined || (state.impression == .positive && state.isSuccess)
        {
          // The stack returns this value, even if it is not success.
          state = State(impression: .positive, isSuccess: value == "success")
        }
        if action == .done, state.impression == .positive { return }
      case .bad, .die:
        state = State(impression: .negative, isSuccess: false)
        if action == .die { return }
      case .jump(let count):
        guard index + count <= steps.count else {
          state = State(impression: .negative, isSuccess: false)
          return
        }
        index += count
      }
    }
  }
}

enum PAMModules {
  static let passwords: Set<String> = [
    "pam_unix", "pam_unix2", "pam_sss", "pam_ldap", "pam_krb5", "pam_winbind", "pam_systemd_home", "pam_pwdfile",
    "pam_userdb", "pam_kanidm", "pam_himmelblau", "pam_aad", "pam_lsass", "pam_centrifydc", "pam_vas3",
    "pam_radius_auth", "pam_radius", "pam_tacplus", "pam_pkcs11",
  ]

  static let otherFactors: Set<String> = [
    "pam_fprintd", "pam_u2f", "pam_ssh_agent_auth", "pam_google_authenticator", "pam_oath", "pam_yubico", "pam_howdy",
    "pam_duo", "pam_usb", "pam_ussh", "pam_p11",
  ]

  /// Modules whose result depends on the login.
  private static let conditions: Set<String> = [
    "pam_succeed_if", "pam_localuser", "pam_usertype", "pam_listfile", "pam_access", "pam_time", "pam_exec",
    "pam_script", "pam_python", "pam_lua",
  ]

  static func isCondition(_ rule: PAMRule) -> Bool {
    // `pam_wheel trust` accepts members of a group without a password.
    conditions.contains(rule.name) || rule.name == "pam_wheel" && rule.arguments.contains("trust")
  }

  /// The result of other modules in an ordinary login.
  static func usualResult(of rule: PAMRule) -> String {
    switch rule.name {
    case "pam_deny": "auth_err"
    // Succeeds only for services such as su(1) that root starts.
    case "pam_rootok": "auth_err"
    case "pam_env", "pam_nologin", "pam_faildelay", "pam_keyinit", "pam_group", "pam_cap", "pam_warn", "pam_echo":
      "ignore"
    case "pam_faillock": rule.arguments.contains("authfail") ? "ignore" : "success"
    default: "success"
    }
  }
}
