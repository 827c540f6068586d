/// Checks that a stack asks for a code after a right password, denies the login if the code is refused, and admits
/// users with password and code.
struct StackCheck {
  private let stacks: PAMServiceStacks
  private let evaluation: ServiceEvaluation
  private let model: PAMModuleModel
  private let isPreauthenticated: Bool
  private let tree: HostTree

  private static let refusals: [PAMResult] = [
    .authenticationError, .maximumTries, .informationUnavailable, .conversationError, .serviceError,
  ]

  /// `isPreauthenticated`: whether another check reports logins without a password.
  init(
    _ stacks: PAMServiceStacks, configuration: PAMConfiguration, model: PAMModuleModel,
    isPreauthenticated: Bool = false
  ) {
    self.stacks = stacks
    self.model = model
    self.isPreauthenticated = isPreauthenticated
    tree = configuration.tree
    evaluation = ServiceEvaluation(stacks, configuration: configuration, model: model)
  }

  /// Which users with the right password and code log in.
  struct Admission {
    /// The modules that check the passwords of users who log in.
    var modules: Set<String> = []
    /// The modules that check the passwords of users who are refused.
    var refusals: Set<String> = []
    var combinations = 0
  }

  var admission: Admission {
    guard let runs = try? evaluation.runs(.init(compares: true)) else { return Admission() }
    return Admission(
      modules: Set(runs.filter(\.isAuthenticated).compactMap { accepting($0)?.name }),
      refusals: Set(runs.filter { $0.passesWithoutTwoFactor == true }.map { accepting($0)?.name ?? "" }),
      combinations: runs.count)
  }

  /// All findings, the most important first.
  var findings: [StackFinding] {
    var findings = stacks.problems.map { problem in
      StackFinding(
        name: "pam_syntax", status: .failed,
        words: "\(problem.file), line \(problem.line), \(problem.words): logins through it fail", problem: problem)
    }
    for facility in [PAMFacility.password, .session] {
      findings += (stacks.chains[facility]?.rules ?? []).filter(\.isTwoFactor).map { rule in
        StackFinding(
          name: "pam_facility", status: .failed,
          words:
            "\(rule.place), calls the module for \(facility.rawValue), but it supports only auth and account: logins fail",
          rule: rule)
      }
    }
    guard findings.isEmpty else { return findings }
    if let obstacle = stacks.obstacle, let rule = stacks.twoFactorRules.first { return [unknown(rule, obstacle)] }
    guard let rule = ours.first else { return findings }
    do throws(ServiceEvaluation.TooManyCombinations) {
      return try self.findings(of: rule)
    } catch {
      return [
        unknown(rule, "its modules have more than \(ServiceEvaluation.maximumCombinations) combinations")
      ]
    }
  }

  private var ours: [PAMRule] { evaluation.chain.rules.filter(\.isTwoFactor) }

  private func unknown(_ rule: PAMRule, _ reason: String) -> StackFinding {
    StackFinding(
      name: "pam_evaluation", status: .warning, words: "\(rule.place): could not be evaluated: \(reason)", rule: rule)
  }

  private func findings(of rule: PAMRule) throws(ServiceEvaluation.TooManyCombinations) -> [StackFinding] {
    let right = try evaluation.runs(.init(compares: true))
    let refused = try evaluation.runs(
      .init(knows: .password, override: { $0.isTwoFactor ? .authenticationError : nil }))
    let wrong = try evaluation.runs(.init(knows: []))
    let codeAlone = try evaluation.runs(.init(knows: .code))
    let absent = try evaluation.runs(
      .init(knows: .password, override: { $0.isTwoFactor ? .moduleUnknown : nil }))
    let others = try evaluation.runs(.init(isEnrolled: false, knows: .password, compares: true))
    if right.contains(where: isUnusable) {
      return [
        StackFinding(
          name: "pam_dead_end", status: .failed, words: "\(rule.place): the module refuses every login", rule: rule,
          isReportedElsewhere: true)
      ]
    }
    var findings: [StackFinding] = []
    if let finding = try ignoredRefusal(rule) { findings.append(finding) }
    findings += bypasses(rule, refused + codeAlone, right)
    let root = try evaluation.runs(
      .init(isRoot: true, knows: .password, override: { $0.isTwoFactor ? .authenticationError : nil }))
    findings += bypassesOfRoot(rule, root, besides: findings)
    if let finding = secondCode(right) { findings.append(finding) }
    if let finding = deadEnd(rule, right) {
      findings.append(finding)
    } else {
      findings += lockouts(rule, right)
    }
    if let finding = self.codeAlone(rule, codeAlone) { findings.append(finding) }
    if let finding = credentials(rule, right) { findings.append(finding) }
    if let finding = order(rule, right + refused) { findings.append(finding) }
    if let finding = requisite(rule, wrong) { findings.append(finding) }
    if let finding = ignoredNullok(others, right) { findings.append(finding) }
    if let finding = missingModule(rule, absent) { findings.append(finding) }
    return findings
  }

  // MARK: Runs

  private func rule(_ index: Int) -> PAMRule? { evaluation.chain.handlers[index].rule }

  private func isPassword(_ index: Int) -> Bool {
    rule(index)?.checksPassword ?? false
  }

  private var hasPassword: Bool { evaluation.chain.handlers.indices.contains(where: isPassword) }

  /// The module that accepted the password; nil if none did.
  private func accepting(_ run: LoginRun) -> PAMRule? {
    run.called.first { isPassword($0) && run.results[$0] == .success }.flatMap(rule)
  }

  /// Whether an unknown module succeeded, which may check anything.
  private func hasUnknownSuccess(_ run: LoginRun) -> Bool {
    run.called.contains { run.results[$0] == .success && rule($0).map(isUnknown) == true }
  }

  /// Whether the stack checks a password, or calls an unknown module that may.
  var mayCheckPassword: Bool { evaluation.chain.rules.contains { $0.checksPassword || isUnknown($0) } }

  /// Whether the behavior of the module is unknown.
  private func isUnknown(_ rule: PAMRule) -> Bool {
    // Runs a program of the administrator, which may check the password.
    if rule.name == "pam_script" || rule.name == "pam_exec" && rule.has("expose_authtok") { return true }
    let outcomes = model.outcomes(
      of: PAMModuleCall(
        rule: rule, service: stacks.service, isEnrolled: true, knows: [], client: .interactive, token: .none))
    return outcomes.key == nil && outcomes.all.count > 1
  }

  /// The rule that makes a login skip the rules of pam_twofactor.
  private func cause(_ run: LoginRun) -> PAMRule? {
    let first = evaluation.chain.twoFactorIndexes.first ?? 0
    let index = run.called.first { index in
      guard let result = run.results[index], !isOurs(index) else { return false }
      switch evaluation.chain.handlers[index].control.action(on: result) {
      case .done: return true
      case .jump: return index < first && !run.called.contains { $0 > index && $0 <= first }
      default: return false
      }
    }
    return (index ?? run.called.last).flatMap(rule)
  }

  private func isOurs(_ index: Int) -> Bool { rule(index)?.isTwoFactor == true }

  /// The rule at which a login is refused.
  private func refusing(_ run: LoginRun) -> PAMRule? {
    (run.called.first { isRefusing($0, run) } ?? run.called.last).flatMap(rule)
  }

  private func isRefusing(_ index: Int, _ run: LoginRun) -> Bool {
    guard let result = run.results[index] else { return false }
    return [.bad, .die].contains(evaluation.chain.handlers[index].control.action(on: result))
  }

  /// Whether the module is not installed, or its options refuse every login. Other checks report that.
  private func isUnusable(_ run: LoginRun) -> Bool {
    run.called.contains { index in
      guard let rule = rule(index), rule.isTwoFactor, let result = run.results[index] else { return false }
      return result == .moduleUnknown || result == .serviceError
        || stacks.service != ServiceOptionCheck.reporting && tree.options(of: rule)?.requiredMethods.isEmpty == false
    }
  }

  // MARK: Logins without a code

  private func ignoredRefusal(_ rule: PAMRule) throws(ServiceEvaluation.TooManyCombinations) -> StackFinding? {
    var seen: Set<[PAMControl.Action]> = []
    for refusal in Self.refusals where seen.insert(ours.map { $0.control.action(on: refusal) }).inserted {
      let runs = try evaluation.runs(.init(knows: .password, override: { $0.isTwoFactor ? refusal : nil }))
      guard runs.contains(where: { $0.isAuthenticated && !$0.asked.isEmpty }) else { continue }
      let cause = ours.first { ![.bad, .die].contains($0.control.action(on: refusal)) } ?? rule
      return StackFinding(
        name: "pam_control", status: .failed,
        words: "\(cause.place): with \"\(cause.control.text)\" a login succeeds although the code was refused "
          + "(\(refusal.name))",
        rule: cause)
    }
    return nil
  }

  private func missingModule(_ rule: PAMRule, _ absent: [LoginRun]) -> StackFinding? {
    guard absent.contains(where: { $0.isAuthenticated && !$0.asked.isEmpty }) else { return nil }
    let cause = ours.first { ![.bad, .die].contains($0.control.action(on: .moduleUnknown)) } ?? rule
    return StackFinding(
      name: "pam_control", status: .failed,
      words: "\(cause.place): with \"\(cause.control.text)\" no code is asked for if the module cannot be loaded",
      rule: cause)
  }

  private func bypasses(_ rule: PAMRule, _ refused: [LoginRun], _ right: [LoginRun]) -> [StackFinding] {
    let open = refused.filter { $0.isAuthenticated && $0.asked.isEmpty }
    guard !open.isEmpty else { return [] }
    let passing = right.filter(\.isAuthenticated)
    let always = open.first { run in
      let module = accepting(run)
      return passing.filter { module == nil || accepting($0) == module }.allSatisfy(\.asked.isEmpty)
    }
    if let always {
      let cause = cause(always)
      let end = cause.map { "\($0.place) (\($0.name), \($0.control.text))" } ?? "the stack"
      return [
        StackFinding(
          name: "pam_bypass", status: .failed,
          words: "with a right password a login ends without a code: \(end) skips \(rule.place)", rule: rule,
          cause: cause)
      ]
    }
    var findings: [StackFinding] = []
    for run in open {
      guard let cause = cause(run), !findings.contains(where: { $0.cause == cause }) else { continue }
      let isCondition = accepting(run) != nil
      findings.append(
        StackFinding(
          name: isCondition ? "pam_condition" : "pam_alternative", status: .warning,
          words: isCondition
            ? "no code is asked for in some logins, depending on \(cause.place) (\(cause.name))"
            : "\(cause.place): \(cause.name) is enough to log in, without password and code",
          rule: rule, cause: cause, condition: "if that is not intended"))
    }
    return findings
  }

  /// A rule that lets only root in without a code.
  private func bypassesOfRoot(
    _ rule: PAMRule, _ runs: [LoginRun], besides findings: [StackFinding]
  ) -> [StackFinding] {
    guard !findings.contains(where: { $0.name == "pam_bypass" }) else { return [] }
    let causes = runs.filter { $0.isAuthenticated && $0.asked.isEmpty }.compactMap(cause)
    guard let cause = causes.first(where: { cause in !findings.contains { $0.cause == cause } }) else { return [] }
    return [
      StackFinding(
        name: "pam_condition", status: .warning,
        words: "root is asked for no code, because of \(cause.place) (\(cause.name))", rule: rule, cause: cause,
        condition: "if that is not intended")
    ]
  }

  private func codeAlone(_ rule: PAMRule, _ runs: [LoginRun]) -> StackFinding? {
    if !hasPassword, isPreauthenticated { return nil }
    let open = runs.filter { $0.isAuthenticated && !$0.asked.isEmpty }
    let name = "pam_code_alone"
    if !hasPassword, !open.isEmpty, let module = evaluation.chain.rules.first(where: isUnknown) {
      return StackFinding(
        name: name, status: .warning,
        words: "\(rule.place): the code alone is enough to log in, unless \(module.name) (\(module.place)) checks a "
          + "password", rule: rule, cause: module, condition: "if it does not")
    }
    guard open.contains(where: { !hasUnknownSuccess($0) }) else { return nil }
    if hasPassword {
      return StackFinding(
        name: name, status: .failed,
        words: "\(rule.place): with \"\(rule.control.text)\" the code alone is enough to log in, without a right "
          + "password",
        rule: rule)
    }
    return StackFinding(
      name: name, status: .failed,
      words: "\(rule.place): the stack asks for no password: the code alone is enough to log in", rule: rule)
  }

  // MARK: Refused logins

  private func deadEnd(_ rule: PAMRule, _ right: [LoginRun]) -> StackFinding? {
    guard !right.contains(where: \.isAuthenticated) else { return nil }
    // A service that is meant to refuse everyone.
    let first = evaluation.chain.twoFactorIndexes.first ?? 0
    let isDeliberate = right.allSatisfy { run in
      run.called.contains { $0 < first && self.rule($0)?.name == "pam_deny" && isRefusing($0, run) }
    }
    guard !isDeliberate else { return nil }
    return StackFinding(
      name: "pam_dead_end", status: .failed,
      words: "\(rule.place): every login is refused, even with a right password and a right code", rule: rule)
  }

  private func lockouts(_ rule: PAMRule, _ right: [LoginRun]) -> [StackFinding] {
    var findings: [StackFinding] = []
    for run in right where run.passesWithoutTwoFactor == true {
      let module = accepting(run)
      let end = refusing(run)
      guard !findings.contains(where: { $0.cause == module }) else { continue }
      let who = module.map { "users whom \($0.name) accepts (\($0.place))" } ?? "users whom no password module accepts"
      findings.append(
        StackFinding(
          name: "pam_lockout", status: .failed,
          words: "\(who) are refused even with a right password and a right code"
            + (end.map { ": the login ends at \($0.place) (\($0.name))" } ?? ""),
          rule: rule, cause: module))
    }
    return findings
  }

  private func credentials(_ rule: PAMRule, _ right: [LoginRun]) -> StackFinding? {
    guard let run = right.first(where: { $0.isAuthenticated && !$0.setsCredentials }) else { return nil }
    let who = accepting(run).map { " of users whom \($0.name) accepts" } ?? ""
    return StackFinding(
      name: "pam_setcred", status: .failed,
      words: "\(rule.place): the authentication\(who) succeeds, but pam_setcred(3) fails after it, so that programs "
        + "such as sshd and login refuse the user",
      rule: rule)
  }

  private func secondCode(_ right: [LoginRun]) -> StackFinding? {
    guard let run = right.first(where: { $0.asked.count > 1 }), let second = rule(run.asked[1]) else { return nil }
    return StackFinding(
      name: "pam_twice", status: .failed,
      words: "\(second.place): a second code is asked for, but a code can be used only once", rule: second)
  }

  private func ignoredNullok(_ others: [LoginRun], _ right: [LoginRun]) -> StackFinding? {
    guard let rule = ours.first(where: { tree.options(of: $0)?.passesUnenrolled == true }) else { return nil }
    let passing = others.filter(\.isAuthenticated)
    let refused =
      others.first { $0.passesWithoutTwoFactor == true }
      ?? right.first { run in run.isAuthenticated && !passing.contains { accepting($0) == accepting(run) } }
    guard let refused else { return nil }
    let option = tree.options(of: rule).map { $0.enrollment != .no && !$0.nullok } == true ? "enroll" : "nullok"
    // Users of one password module may be refused, and others not.
    let module = passing.isEmpty ? nil : accepting(refused)
    // libpam denies a login in which no module returned success.
    let reason =
      rule.control.action(on: .ignore) == .ignore
      ? "no other module returns success" : "\"\(rule.control.text)\" does not ignore their result"
    let who = module.map { ", whom \($0.name) accepts (\($0.place))," } ?? ""
    return StackFinding(
      name: "pam_nullok", status: .warning,
      words: "\(rule.place): users who are not enrolled\(who) are refused despite \(option): \(reason)", rule: rule,
      cause: module)
  }

  // MARK: Guessing

  private func order(_ rule: PAMRule, _ runs: [LoginRun]) -> StackFinding? {
    let early = runs.lazy.compactMap { run -> PAMRule? in
      guard let asked = run.asked.first, let ours = self.rule(asked), !ours.forwardsPassword,
        run.called.contains(where: { $0 > asked && isPassword($0) }),
        !run.called.contains(where: { $0 < asked && isPassword($0) })
      else { return nil }
      return ours
    }.first
    return early.map { rule in
      StackFinding(
        name: "pam_order", status: .failed,
        words: "\(rule.place): the code is asked for before the password, so anyone can lock a user out with wrong "
          + "codes",
        rule: rule)
    }
  }

  private func requisite(_ rule: PAMRule, _ wrong: [LoginRun]) -> StackFinding? {
    let late = wrong.lazy.compactMap { run -> PAMRule? in
      guard let asked = run.asked.first, self.rule(asked)?.forwardsPassword == false, !hasUnknownSuccess(run) else {
        return nil
      }
      return run.called.last { $0 < asked && isPassword($0) }.flatMap(self.rule)
    }.first
    return late.map { cause in
      StackFinding(
        name: "pam_requisite", status: .warning,
        words: "a code is asked for even after a wrong password (\(cause.place)), so anyone can lock a user out with "
          + "wrong codes",
        rule: rule, cause: cause)
    }
  }
}

extension PAMRule {
  /// Whether pam_twofactor prompts for password and code at once, and forwards the password.
  var forwardsPassword: Bool { isTwoFactor && arguments.contains { $0 == "forward_pass" || $0 == "forward_pass=yes" } }

  var checksPassword: Bool { PAMModuleTable.passwords[name] != nil }
}
