/// One possible course of a login through a service.
struct LoginRun {
  let isAuthenticated: Bool
  /// Whether pam_setcred(3) succeeds afterwards.
  let setsCredentials: Bool
  /// Indexes of the called handlers of the chain.
  let called: [Int]
  let results: [PAMResult?]
  /// Indexes of the handlers of pam_twofactor that verified a code or asked for one.
  let asked: [Int]
  /// Whether the stack without the lines of pam_twofactor authenticates the user; nil if not compared.
  let passesWithoutTwoFactor: Bool?
  /// Whether pam_twofactor remembers that the user is not enrolled.
  let isRemembered: Bool
  /// Nil if authentication failed, or the scenario contains no account phase.
  let account: AccountRun?
}

/// One possible course of the account phase, pam_acct_mgmt(3).
struct AccountRun {
  let status: PAMResult
  /// Indexes of the called handlers of the account chain.
  let called: [Int]
  let results: [PAMResult?]
  /// The status of the chain without pam_twofactor.
  let statusWithoutTwoFactor: PAMResult

  /// Whether programs let the user in, perhaps after a change of the password.
  var isAdmitted: Bool { status.admits }
}

extension PAMResult {
  /// Whether programs let a user in after this result of pam_acct_mgmt(3).
  var admits: Bool { self == .success || self == .newTokenRequired }
}

/// Evaluates the auth and account stacks of a service for all combinations of results that its modules can return.
struct ServiceEvaluation {
  struct TooManyCombinations: Error {}

  struct Scenario {
    var isEnrolled = true
    var isRoot = false
    var knows: Knowledge = [.password, .code]
    var client = PAMModuleCall.Client.interactive
    /// Replaces the result of a rule; nil for the result of the model.
    var override: (PAMRule) -> PAMResult? = { _ in nil }
    /// What a user whom pam_twofactor remembers does in the account phase; nil to evaluate authentication alone.
    var enrollment: PAMModuleCall.Enrollment?
    /// Whether runs that fail are compared with the stack without pam_twofactor.
    var compares = false

    /// The same scenario for a user who replies to every prompt with password and code; nil if the user lacks one.
    var withBothAtOnce: Scenario? {
      guard knows == [.password, .code], client == .interactive else { return nil }
      var other = self
      other.client = .singleField
      return other
    }
  }

  let service: String
  let chain: PAMChain
  let accountChain: PAMChain
  private let model: PAMModuleModel
  private let jumpsDecide: Bool
  private let tree: HostTree
  /// The keys of modules that check passwords.
  private let passwordKeys: Set<String>

  static let maximumCombinations = 10_000

  init(_ stacks: PAMServiceStacks, configuration: PAMConfiguration, model: PAMModuleModel) {
    service = stacks.service
    chain = stacks.chain(.auth)
    accountChain = stacks.chain(.account)
    self.model = model
    jumpsDecide = !configuration.isDebian
    tree = configuration.tree
    let service = service
    passwordKeys = Set(
      chain.rules.compactMap { rule in
        let call = PAMModuleCall(
          rule: rule, service: service, isEnrolled: true, knows: [.password, .code], client: .interactive, token: .none)
        let outcomes = model.outcomes(of: call)
        return outcomes.all.contains(where: \.isUserUnknown) ? outcomes.key : nil
      })
  }

  /// All runs. If all fail, a user who knows password and code replies to every prompt with both, because
  /// `use_first_pass` looks for the code at the end of an earlier password.
  ///
  /// - Throws: ``TooManyCombinations``.
  func runs(_ scenario: Scenario) throws(TooManyCombinations) -> [LoginRun] {
    let runs = try allRuns(scenario)
    guard let other = scenario.withBothAtOnce, !runs.contains(where: \.isAuthenticated) else { return runs }
    let others = try allRuns(other)
    return others.contains(where: \.isAuthenticated) ? others : runs
  }

  private func allRuns(_ scenario: Scenario) throws(TooManyCombinations) -> [LoginRun] {
    var runs: [LoginRun] = []
    var budget = Self.maximumCombinations
    _ = try first(scenario, &budget) { run in
      runs.append(run)
      return false
    }
    return runs
  }

  /// The first run that satisfies a condition; nil if there is none. Tries at most `budget` combinations, else throws
  /// ``TooManyCombinations``.
  func first(
    _ scenario: Scenario, _ budget: inout Int, where isWanted: (LoginRun) -> Bool
  ) throws(TooManyCombinations) -> LoginRun? {
    var choices = Choices()
    repeat {
      guard budget > 0, tree.mayTryCombination() else { throw TooManyCombinations() }
      budget -= 1
      let run = run(scenario, &choices)
      guard choices.unknownKeys.isEmpty || choices.unknownKeys != passwordKeys else { continue }
      if isWanted(run) { return run }
    } while choices.advance()
    return nil
  }

  private func run(_ scenario: Scenario, _ choices: inout Choices) -> LoginRun {
    var asked: [Int] = []
    var isRemembered = false
    let authentication = authenticate(chain, scenario, &choices) { index, outcome in
      if outcome.asksForCode { asked.append(index) }
      isRemembered = isRemembered || outcome.isRemembered
    } place: {
      $0
    }
    var setsCredentials = false
    if authentication.isSuccess {
      let credentials = chain.dispatch(cached: authentication.results, jumpsDecide: jumpsDecide) { rule, index in
        model.setCredentials(rule, authentication: authentication.results[index])
      }
      setsCredentials = credentials.isSuccess
    }
    var passesWithout: Bool?
    if scenario.compares, !authentication.isSuccess {
      let places = chain.placesWithoutTwoFactor
      let other = authenticate(chain.withoutTwoFactor, scenario, &choices) { _, _ in
      } place: {
        places[$0]
      }
      passesWithout = other.isSuccess
    }
    var account: AccountRun?
    if let enrollment = scenario.enrollment, authentication.isSuccess {
      account = run(accountChain, scenario, isRemembered ? enrollment : .none, &choices)
    }
    return LoginRun(
      isAuthenticated: authentication.isSuccess, setsCredentials: setsCredentials, called: authentication.called,
      results: authentication.results, asked: asked, passesWithoutTwoFactor: passesWithout, isRemembered: isRemembered,
      account: account)
  }

  /// All runs of the account phase alone.
  ///
  /// - Throws: ``TooManyCombinations``.
  func accountRuns(
    _ enrollment: PAMModuleCall.Enrollment, withoutTwoFactor: Bool = false
  ) throws(TooManyCombinations) -> [AccountRun] {
    let chain = withoutTwoFactor ? accountChain.withoutTwoFactor : accountChain
    var runs: [AccountRun] = []
    var choices = Choices()
    repeat {
      guard runs.count < Self.maximumCombinations, tree.mayTryCombination() else { throw TooManyCombinations() }
      runs.append(run(chain, Scenario(), enrollment, &choices))
    } while choices.advance()
    return runs
  }

  private func run(
    _ accounts: PAMChain, _ scenario: Scenario, _ enrollment: PAMModuleCall.Enrollment, _ choices: inout Choices
  ) -> AccountRun {
    func dispatch(_ accounts: PAMChain, place: (Int) -> Int) -> PAMChain.Dispatch {
      accounts.dispatch { rule, index in
        let outcomes = model.outcomes(
          of: PAMModuleCall(
            rule: rule, service: service, isEnrolled: scenario.isEnrolled, knows: scenario.knows,
            client: scenario.client, token: .none, isRoot: scenario.isRoot, enrollment: enrollment))
        let result = outcomes.all[choices.choose(outcomes, chain.handlers.count + place(index))].result
        return scenario.override(rule) ?? result
      }
    }
    let all = dispatch(accounts) { $0 }
    let places = accounts.placesWithoutTwoFactor
    let hasOurs = places.count < accounts.handlers.count
    let others = hasOurs ? dispatch(accounts.withoutTwoFactor) { places[$0] } : all
    return AccountRun(
      status: all.status, called: all.called, results: all.results, statusWithoutTwoFactor: others.status)
  }

  /// `place` returns the index of a handler in the whole chain.
  private func authenticate(
    _ chain: PAMChain, _ scenario: Scenario, _ choices: inout Choices,
    note: (Int, PAMModuleOutcomes.Outcome) -> Void, place: (Int) -> Int
  ) -> PAMChain.Dispatch {
    var token = PAMModuleCall.Token.none
    return chain.dispatch { rule, index in
      let outcomes = model.outcomes(
        of: PAMModuleCall(
          rule: rule, service: service, isEnrolled: scenario.isEnrolled, knows: scenario.knows, client: scenario.client,
          token: token, isRoot: scenario.isRoot))
      let outcome = outcomes.all[choices.choose(outcomes, place(index))]
      if let next = outcome.token { token = next }
      note(index, outcome)
      return scenario.override(rule) ?? outcome.result
    }
  }
}

/// The choices of one combination, in the order in which the modules need them.
private struct Choices {
  private var sequence: [(index: Int, count: Int)] = []
  private var position = 0
  private var byKey: [String: Int] = [:]
  /// The choices for calls without a key, so that a comparison repeats them.
  private var byPlace: [Int: Int] = [:]
  /// The keys of modules that do not know the user.
  private(set) var unknownKeys: Set<String> = []

  mutating func choose(_ outcomes: PAMModuleOutcomes, _ place: Int) -> Int {
    let count = outcomes.all.count
    var index = 0
    if let known = outcomes.key.map({ byKey[$0] }) ?? byPlace[place] {
      index = min(known, count - 1)
    } else if count > 1 {
      if position == sequence.count { sequence.append((0, count)) }
      index = sequence[position].index
      position += 1
      if let key = outcomes.key { byKey[key] = index } else { byPlace[place] = index }
    }
    if let key = outcomes.key, outcomes.all[index].isUserUnknown { unknownKeys.insert(key) }
    return index
  }

  /// Proceeds to the next combination; returns false after the last.
  mutating func advance() -> Bool {
    (position, byKey, byPlace, unknownKeys) = (0, [:], [:], [])
    while let (index, count) = sequence.popLast() {
      if index + 1 < count {
        sequence.append((index + 1, count))
        return true
      }
    }
    return false
  }
}
