/// The results that the module of a rule can return.
final class PAMModuleBehavior {
  /// The result of pam_sm_setcred(3).
  enum Credentials {
    case constant(PAMResult)
    /// The result of pam_sm_authenticate(3).
    case repeated
  }

  typealias Outcome = PAMModuleOutcomes.Outcome

  let credentials: Credentials
  private let compute: (PAMModuleCall) -> PAMModuleOutcomes
  /// The outcomes of calls by ``service``. An evaluation repeats each call often.
  private var known: [Int: PAMModuleOutcomes] = [:]
  private var service = ""

  init(credentials: Credentials = .constant(.success), outcomes: @escaping (PAMModuleCall) -> PAMModuleOutcomes) {
    self.credentials = credentials
    compute = outcomes
  }

  func outcomes(of call: PAMModuleCall) -> PAMModuleOutcomes {
    if call.service != service { (known, service) = ([:], call.service) }
    let who = call.enrollment.rawValue << 2 | (call.isRoot ? 2 : 0) | (call.isEnrolled ? 1 : 0)
    let index = ((call.token.rawValue << 1 | call.client.rawValue) << 2 | call.knows.rawValue) << 4 | who
    if let outcomes = known[index] { return outcomes }
    let outcomes = compute(call)
    known[index] = outcomes
    return outcomes
  }

  static func constant(_ result: PAMResult, credentials: PAMResult = .success) -> PAMModuleBehavior {
    let outcomes = PAMModuleOutcomes(all: [Outcome(result: result)])
    return PAMModuleBehavior(credentials: .constant(credentials)) { _ in outcomes }
  }

  /// Prompts for a password if `PAM_AUTHTOK` is empty, and stores the reply.
  static func storing(_ result: PAMResult, credentials: PAMResult = .success) -> PAMModuleBehavior {
    PAMModuleBehavior(credentials: .constant(credentials)) { call in
      PAMModuleOutcomes(all: [Outcome(result: result, token: call.token == .none ? call.answerToPassword : nil)])
    }
  }

  static func condition(
    _ results: [PAMResult], key: String, credentials: PAMResult = .success, storesPassword: Bool = false
  ) -> PAMModuleBehavior {
    PAMModuleBehavior(credentials: .constant(credentials)) { call in
      let token = storesPassword && call.token == .none ? call.answerToPassword : nil
      return PAMModuleOutcomes(key: key, all: results.map { Outcome(result: $0, token: token) })
    }
  }

  /// Checks a password. `isDirectory`: whether another module must know a user whom this one does not know.
  static func password(_ rule: PAMRule, _ module: PasswordModule, isDirectory: Bool = true) -> PAMModuleBehavior {
    let insists = module.insisting.map(rule.has) ?? false
    let isRequested = ["use_first_pass", "try_first_pass", "force_first_pass"].contains(where: rule.has)
    let takes = (module.takes == .always || module.takes == .onRequest && isRequested) && !rule.has("prompt_always")
    let stores = module.stores == .always || module.stores == .onRequest && rule.has("forward_pass")
    // With `retry=N`, pam_sss discards the earlier password.
    let retries = rule.value(of: "retry").map { $0 != "0" } ?? false
    let asksAgain =
      module.asksAgain == .always || module.asksAgain == .onRequest && rule.has("try_first_pass")
      || rule.name == "pam_sss" && retries
    let repeats = module.repeatsResult || rule.name == "pam_unix" && rule.has("likeauth")
    let unknown = rule.distinct(rule.withoutIgnored(module.unknown))
    return PAMModuleBehavior(credentials: repeats ? .repeated : .constant(.success)) { call in
      let hasToken = call.token != .none && takes
      if insists, !hasToken {
        return PAMModuleOutcomes(
          key: rule.name,
          all: [Outcome(result: module.missing), Outcome(result: module.missing, isUserUnknown: isDirectory)])
      }
      let answer = call.answerToPassword
      var tried = hasToken ? call.token : answer
      var stored = hasToken || !stores ? nil : answer
      let unknownUser = unknown.map {
        Outcome(result: $0, token: module.asksUnknownUsers ? stored : nil, isUserUnknown: isDirectory)
      }
      if hasToken, tried != .password, asksAgain {
        tried = answer
        if stores { stored = answer }
      }
      let known = Outcome(result: tried == .password ? .success : module.refused, token: stored)
      return PAMModuleOutcomes(key: rule.name, all: [known] + unknownUser)
    }
  }

  static func factor(_ rule: PAMRule, _ module: FactorModule) -> PAMModuleBehavior {
    var unavailable = module.unavailable
    // pam-u2f before 1.3.1 returns `success`.
    if rule.has("nouserok") { unavailable = [.ignore, .success] }
    if rule.has("alwaysok") { return .constant(.success) }
    let missing = rule.distinct(unavailable).map { Outcome(result: $0) }
    let key = rule.name == "pam_sss" ? "pam_sss card" : rule.name
    return PAMModuleBehavior { call in
      let result = call.knows.contains(.password) ? .success : module.refused
      return PAMModuleOutcomes(key: key, all: [Outcome(result: result)] + missing)
    }
  }

  static func code(_ rule: PAMRule, _ module: CodeModule) -> PAMModuleBehavior {
    if rule.has("alwaysok") { return .constant(.success) }
    let onlyTakes = module.takesEarlier && rule.has("use_first_pass")
    let takes = onlyTakes || module.takesEarlier && rule.has("try_first_pass")
    let forwards = rule.has("forward_pass")
    let splitsAnswers =
      switch module.splitting {
      case .never: false
      case .forwarding: forwards
      case .withDigits: rule.value(of: "digits") != nil
      case .always: true
      }
    let isIndependent = !module.takesEarlier || rule.value(of: "mode") == "challenge-response"
    let missing = rule.distinct(rule.has("nullok") ? [.ignore] : module.unavailable).map { Outcome(result: $0) }
    let cutsEarlier = module.splitting == .forwarding ? forwards : splitsAnswers
    return PAMModuleBehavior { call in
      func verified(_ token: PAMModuleCall.Token, splits: Bool, cuts: Bool) -> Outcome? {
        switch token {
        case .code: Outcome(result: .success, token: forwards ? .other : nil)
        case .both where splits: Outcome(result: .success, token: cuts ? .password : nil)
        default: nil
        }
      }
      var found: Outcome?
      if isIndependent {
        if call.knows.contains(.code) { found = Outcome(result: .success) }
      } else {
        let hasToken = takes && call.token != .none
        if hasToken {
          let splits = splitsAnswers || module.splitting == .forwarding
          found = verified(call.token, splits: splits, cuts: cutsEarlier)
        }
        if found == nil, !onlyTakes, !hasToken || module.asksAgain {
          let answer = forwards ? call.answerToBoth : call.answerToCode
          found = verified(answer, splits: splitsAnswers, cuts: splitsAnswers)
        }
      }
      return PAMModuleOutcomes(key: rule.name, all: [found ?? Outcome(result: module.refused)] + missing)
    }
  }

  /// Returns one result for each action of the control value, and always success, `ignore` and a failure.
  static func unknown(_ rule: PAMRule) -> PAMModuleBehavior {
    var actions: Set<PAMControl.Action> = []
    var results: [PAMResult] = []
    for result in [.success, .ignore, .authenticationError] + PAMResult.allCases where result != .incomplete {
      let isNew = actions.insert(rule.control.action(on: result)).inserted
      if isNew || results.count < 3 && !results.contains(result) { results.append(result) }
    }
    let outcomes = PAMModuleOutcomes(all: results.map { Outcome(result: $0) })
    return PAMModuleBehavior { _ in outcomes }
  }
}

extension PAMRule {
  /// Module and arguments: the key of outcomes.
  var moduleKey: String { ([name] + arguments).joined(separator: " ") }

  func has(_ argument: String) -> Bool { arguments.contains(argument) }

  /// The text after `NAME=` in the first such argument.
  func value(of name: String) -> String? {
    arguments.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.utf8.count + 1)) }
  }

  /// Applies the options `ignore_…` of modules that look users up.
  func withoutIgnored(_ results: [PAMResult]) -> [PAMResult] {
    results.map { result in
      let isIgnored =
        result == .userUnknown && has("ignore_unknown_user")
        || result == .informationUnavailable && has("ignore_authinfo_unavail")
      return isIgnored ? .ignore : result
    }
  }

  /// Keeps only one of the results that libpam treats alike.
  func distinct(_ results: [PAMResult]) -> [PAMResult] {
    var kept: [PAMResult] = []
    for result in results {
      let isKnown = kept.contains { other in
        control.action(on: other) == control.action(on: result) && (other == .success) == (result == .success)
          && (other == .ignore) == (result == .ignore)
      }
      if !isKnown { kept.append(result) }
    }
    return kept
  }
}
