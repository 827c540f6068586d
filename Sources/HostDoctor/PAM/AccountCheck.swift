import HostAccess
import LoginPolicy

/// How a service enrolls users at login.
struct EnrollmentGuidance: Equatable {
  let service: String
  let isRequired: Bool
  /// The day from which enrollment is required, if it is still to come.
  let day: String?
  /// Empty for all networks.
  let networks: [String]
}

/// Checks that the account stack enrolls the users who pass the auth stack because of `enroll`, and refuses no others.
struct AccountCheck {
  struct Report {
    var findings: [StackFinding] = []
    /// Nil if the service enrolls nobody.
    var guidance: EnrollmentGuidance?
  }

  private typealias Rule = (rule: PAMRule, options: EffectiveOptions)

  private let stacks: PAMServiceStacks
  private let evaluation: ServiceEvaluation
  /// The valid rules of pam_twofactor. Another check reports invalid rules.
  private let authentication: [Rule]
  private let accounts: [Rule]

  init(_ stacks: PAMServiceStacks, configuration: PAMConfiguration, model: PAMModuleModel) {
    self.stacks = stacks
    evaluation = ServiceEvaluation(stacks, configuration: configuration, model: model)
    let tree = configuration.tree
    func valid(_ rules: [PAMRule]) -> [Rule] { rules.compactMap { rule in tree.options(of: rule).map { (rule, $0) } } }
    authentication = valid(stacks.twoFactorRules)
    accounts = valid(stacks.accountRules)
  }

  var report: Report {
    guard stacks.obstacle == nil, stacks.problems.isEmpty else { return Report() }
    do throws(ServiceEvaluation.TooManyCombinations) {
      return try evaluated
    } catch {
      guard let rule = (accounts.first ?? authentication.first)?.rule else { return Report() }
      return Report(findings: [
        StackFinding(
          name: "pam_evaluation", status: .warning,
          words: "\(rule.place): the account stack could not be evaluated: its modules have more than "
            + "\(ServiceEvaluation.maximumCombinations) combinations", rule: rule)
      ])
    }
  }

  private var evaluated: Report {
    get throws(ServiceEvaluation.TooManyCombinations) {
      var report = Report()
      if let finding = try lockout { report.findings.append(finding) }
      // Other programs authenticate no users, or skip the account stack.
      let isLogin =
        PAMService.isForLogins(stacks.service) && !SingleFieldProgram.skippingAccounts.contains(stacks.service)
        || stacks.service == PAMConfiguration.other
      let isUsed = !accounts.isEmpty || authentication.contains { $0.options.enrollment != .no }
      guard isLogin, isUsed, let first = authentication.first else { return report }
      let runs = try evaluation.runs(.init(isEnrolled: false, knows: .password, enrollment: .declined))
        .filter { $0.isAuthenticated && $0.isRemembered }
      if stacks.accountRules.isEmpty {
        report.findings += [missingRule(runs)].compactMap { $0 }
        return report
      }
      report.findings += skips(runs)
      if let finding = ignoredRefusal(runs) { report.findings.append(finding) }
      if let finding = try earlyEnd { report.findings.append(finding) }
      if let finding = difference(runs, first) { report.findings.append(finding) }
      report.guidance = guidance(runs)
      return report
    }
  }

  private func guidance(_ runs: [LoginRun]) -> EnrollmentGuidance? {
    let asking = accounts.filter { rule, options in
      options.enrollment != .no && runs.contains { calls(rule, $0) }
    }
    guard let options = asking.first(where: { $0.options.enrollment == .require })?.options ?? asking.first?.options
    else { return nil }
    return EnrollmentGuidance(
      service: stacks.service, isRequired: options.enrollment == .require, day: options.enrollmentDay,
      networks: options.enrollmentNetworks)
  }

  // MARK: Runs

  private func rule(_ index: Int) -> PAMRule? { evaluation.accountChain.handlers[index].rule }

  private func isOurs(_ index: Int) -> Bool { rule(index)?.isTwoFactor == true }

  private func calls(_ rule: PAMRule, _ run: LoginRun) -> Bool {
    run.account?.called.contains { self.rule($0) == rule } == true
  }

  /// Whether a user who is not enrolled passes the auth stack only because of `enroll`.
  private func isByEnrollment(_ run: LoginRun) -> Bool {
    authentication.contains { rule, options in
      options.enrollment != .no && !options.admitsUnenrolled
        && run.called.contains { evaluation.chain.handlers[$0].rule == rule }
    }
  }

  // MARK: Users who are not enrolled

  private static let alone = "get in with the password alone"

  private func missingRule(_ runs: [LoginRun]) -> StackFinding? {
    let admitted = runs.filter { $0.account?.isAdmitted == true }
    guard let first = authentication.first(where: { $0.options.enrollment != .no }), !admitted.isEmpty else {
      return nil
    }
    let requiring = authentication.first { $0.options.enrollment == .require }
    let open = requiring ?? authentication.first { $0.options.enrollment != .no && !$0.options.admitsUnenrolled }
    if let rule = open?.rule, requiring != nil || admitted.contains(where: isByEnrollment) {
      return StackFinding(
        name: "enrollment_bypass", status: .failed,
        words: "\(rule.place): with enroll, users who are not enrolled pass without a code, but the account stack does "
          + "not call the module: they \(Self.alone)",
        rule: rule)
    }
    let later = first.options.enrollmentDay.map { ", and \(Self.alone) even after \($0)" } ?? ""
    return StackFinding(
      name: "enrollment_bypass", status: .warning,
      words: "\(first.rule.place): the account stack does not call the module: users who are not enrolled are never "
        + "led through enrollment\(later)",
      rule: first.rule)
  }

  /// Rules that make a login skip the account rule of pam_twofactor.
  private func skips(_ runs: [LoginRun]) -> [StackFinding] {
    guard let ours = accounts.first(where: { $0.options.enrollment != .no }) else { return [] }
    let isRequired = accounts.contains { $0.options.enrollment == .require }
    var causes: [(rule: PAMRule, isOfExpiryAlone: Bool)] = []
    for run in runs {
      guard let account = run.account, account.isAdmitted, !account.called.contains(where: isOurs),
        let cause = cause(account)
      else { continue }
      let isOfExpiry = account.status == .newTokenRequired
      if let index = causes.firstIndex(where: { $0.rule == cause }) {
        causes[index].isOfExpiryAlone = causes[index].isOfExpiryAlone && isOfExpiry
      } else {
        causes.append((cause, isOfExpiry))
      }
    }
    // An offer can wait until the password is changed.
    return causes.filter { isRequired || !$0.isOfExpiryAlone }.map { cause, isOfExpiryAlone in
      let skip = "\(cause.place) (\(cause.name), \(cause.control.text)) skips \(ours.rule.place)"
      let condition = isOfExpiryAlone ? ", if their password has expired" : ""
      return StackFinding(
        name: "enrollment_bypass", status: isRequired ? .failed : .warning,
        words: isRequired
          ? "\(skip): users who are not enrolled \(Self.alone)\(condition)"
          : "\(skip): some users who are not enrolled are not offered enrollment",
        rule: ours.rule, cause: cause)
    }
  }

  private func cause(_ run: AccountRun) -> PAMRule? {
    let handlers = evaluation.accountChain.handlers
    let first = evaluation.accountChain.twoFactorIndexes.first ?? 0
    let index = run.called.first { index in
      guard let result = run.results[index] else { return false }
      switch handlers[index].control.action(on: result) {
      case .done: return true
      case .jump: return index < first && !run.called.contains { $0 > index && $0 <= first }
      default: return false
      }
    }
    return (index ?? run.called.last).flatMap(rule)
  }

  private func ignoredRefusal(_ runs: [LoginRun]) -> StackFinding? {
    for run in runs {
      guard let account = run.account, account.isAdmitted,
        let index = account.called.first(where: { isOurs($0) && account.results[$0] == .permissionDenied }),
        let rule = rule(index)
      else { continue }
      return StackFinding(
        name: "enrollment_control", status: .failed,
        words: "\(rule.place): with \"\(rule.control.text)\" users who must enroll, and do not, \(Self.alone)",
        rule: rule)
    }
    return nil
  }

  /// The success of an enrollment must not end the stack before the account is checked.
  private var earlyEnd: StackFinding? {
    get throws(ServiceEvaluation.TooManyCombinations) {
      guard accounts.contains(where: { $0.options.enrollment != .no }) else { return nil }
      let runs = try evaluation.accountRuns(.made)
      let open = runs.first { $0.isAdmitted && !$0.statusWithoutTwoFactor.admits && $0.called.contains(where: isOurs) }
      guard let rule = open?.called.first(where: isOurs).flatMap(rule) else { return nil }
      return StackFinding(
        name: "enrollment_control", status: .failed,
        words: "\(rule.place): with \"\(rule.control.text)\" an enrollment lets in users whom the rest of the account "
          + "stack refuses, such as users with expired accounts",
        rule: rule)
    }
  }

  // MARK: Options

  /// Both rules must have the same policy. `first`: a rule of the auth stack.
  private func difference(_ runs: [LoginRun], _ first: Rule) -> StackFinding? {
    guard let ours = accounts.first else { return nil }
    let before = authentication.first { $0.options.enrollment != .no } ?? first
    let (account, auth) = (ours.options.enrollment, before.options.enrollment)
    guard account != auth || account == .no else { return nil }
    let place = before.rule.place
    if account == .no, auth == .no {
      return finding(.warning, "\(ours.rule.place): the rule has no effect, because enroll is not set", ours.rule)
    }
    if auth == .no, !runs.contains(where: { calls(ours.rule, $0) }) {
      // Authentication refuses all users whom the rule could enroll.
      return finding(
        .warning,
        "\(ours.rule.place): the rule has no effect, because enroll is not set for \(place), which refuses users who are "
          + "not enrolled", ours.rule)
    }
    let words = "\(ours.rule.place): enroll is \(account.word), but it is \(auth.word) for \(place)"
    let isOpen = runs.contains { $0.account?.isAdmitted == true && (auth == .require || isByEnrollment($0)) }
    if account == .no {
      return isOpen
        ? finding(.failed, "\(words): users who are not enrolled \(Self.alone)", ours.rule)
        : finding(.warning, "\(words): users who are not enrolled are never led through enrollment", ours.rule)
    }
    if auth == .require, isOpen {
      return finding(
        .failed, "\(words): users who are not enrolled may decline, and then \(Self.alone)", ours.rule)
    }
    return finding(.warning, "\(words): the account rule decides who must enroll", ours.rule)
  }

  private func finding(_ status: Finding.Status, _ words: String, _ rule: PAMRule) -> StackFinding {
    StackFinding(name: "enrollment_options", status: status, words: words, rule: rule)
  }

  // MARK: Refused users

  /// The rule must not change the result for users whom it does not enroll.
  private var lockout: StackFinding? {
    get throws(ServiceEvaluation.TooManyCombinations) {
      guard !accounts.isEmpty else { return nil }
      for enrollment in [PAMModuleCall.Enrollment.none, .made] {
        let refused = try evaluation.accountRuns(enrollment)
          .first { !$0.isAdmitted && $0.statusWithoutTwoFactor.admits && !isUnusable($0) }
        guard let rule = refused.map({ $0.called.first(where: isOurs).flatMap(rule) ?? accounts[0].rule }) else {
          continue
        }
        return StackFinding(
          name: "pam_account", status: .failed,
          words: "\(rule.place): with \"\(rule.control.text)\" there, the account stack refuses users whom it would "
            + "let in without the rule",
          rule: rule)
      }
      return nil
    }
  }

  /// Whether the module is not installed, or its options are invalid. Other checks report that.
  private func isUnusable(_ run: AccountRun) -> Bool {
    run.called.contains { index in
      isOurs(index) && [.moduleUnknown, .serviceError].contains(run.results[index] ?? .ignore)
    }
  }
}

extension LoginEnrollment {
  /// As in the configuration.
  var word: String {
    switch self {
    case .no: "no"
    case .offer: "offer"
    case .require: "require"
    }
  }
}

extension PAMServiceStacks {
  /// The rules of pam_twofactor that enroll users.
  var accountRules: [PAMRule] { chain(.account).rules.filter(\.isTwoFactor) }
}

/// The results of an account stack that a remedy must preserve.
struct AccountState {
  /// The combinations of other modules' results that let a user in, without the rules of pam_twofactor.
  let bare: Set<String>
  /// For users whom pam_twofactor does not enroll.
  let others: Set<String>
  /// For users who do not enroll.
  let declining: Set<String>

  /// Nil if the stack cannot be evaluated.
  init?(_ evaluation: ServiceEvaluation) {
    do throws(ServiceEvaluation.TooManyCombinations) {
      bare = Self.admitting(
        try evaluation.accountRuns(.none, withoutTwoFactor: true), evaluation.accountChain.withoutTwoFactor)
      others = Self.admitting(try evaluation.accountRuns(.none), evaluation.accountChain)
      declining = Self.admitting(try evaluation.accountRuns(.declined), evaluation.accountChain)
    } catch {
      return nil
    }
  }

  private static func admitting(_ runs: [AccountRun], _ chain: PAMChain) -> Set<String> {
    Set(
      runs.filter(\.isAdmitted).map { run in
        run.called.compactMap { index in
          guard let rule = chain.handlers[index].rule, !rule.isTwoFactor, let result = run.results[index] else {
            return nil
          }
          return "\(rule.moduleKey)=\(result.name)"
        }.sorted().joined(separator: "\n") + "\n\(run.status.name)"
      })
  }

  /// Whether a change to `new` lets in no other users, and refuses none.
  func isKept(by new: AccountState) -> Bool {
    guard new.bare == bare else { return false }
    let wasRight = others == bare
    return wasRight
      ? new.others == bare && new.declining.isSubset(of: declining)
      : new.others == bare || new.others == others && new.declining.isSubset(of: declining)
  }
}
