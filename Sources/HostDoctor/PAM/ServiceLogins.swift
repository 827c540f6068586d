/// The least that a login requires: alternatives, none of which includes another.
package struct LoginNeeds: Equatable {
  let alternatives: Set<Knowledge>

  /// `nothing`, `password`, `code`, `code or password`, `password+code` or `refused`.
  package var text: String {
    guard !alternatives.isEmpty else { return "refused" }
    return alternatives.map { knowledge in
      switch knowledge {
      case []: "nothing"
      case .password: "password"
      case .code: "code"
      default: "password+code"
      }
    }.sorted().joined(separator: " or ")
  }

  package var isRefused: Bool { alternatives.isEmpty }

  /// Whether every login requires a code.
  package var includesCode: Bool { !isRefused && alternatives.allSatisfy { $0.contains(.code) } }

  /// - Parameter passing: The knowledge with which logins succeed.
  init(passing: Set<Knowledge>) {
    alternatives = passing.filter { one in !passing.contains { $0 != one && $0.isSubset(of: one) } }
  }

  /// Whether logins require at least as much as in `other`.
  func isAtLeast(_ other: LoginNeeds) -> Bool {
    alternatives.allSatisfy { one in other.alternatives.contains { $0.isSubset(of: one) } }
  }
}

/// What a login through a service requires.
package struct ServiceLogins {
  package let service: String
  /// For an enrolled user; nil if the stack cannot be evaluated.
  package let enrolled: LoginNeeds?
  /// For a user who is not enrolled; nil if the stack cannot be evaluated.
  package let unenrolled: LoginNeeds?
  /// Whether the stack accepts password and code in one reply.
  package let isSingleField: Bool
  /// Why the stack cannot be evaluated; nil if it can.
  package let problem: String?

  /// Whether an enrolled user needs a code.
  package var asksForCode: Bool { enrolled?.includesCode ?? false }

  /// `override` replaces the result of a rule, for a user who is enrolled or not.
  init(
    _ stacks: PAMServiceStacks, configuration: PAMConfiguration, model: PAMModuleModel,
    override: @escaping (PAMRule, _ isEnrolled: Bool) -> PAMResult? = { _, _ in nil }
  ) {
    service = stacks.service
    let evaluation = ServiceEvaluation(stacks, configuration: configuration, model: model)
    var budget = ServiceEvaluation.maximumCombinations
    var enrolled: LoginNeeds?
    var unenrolled: LoginNeeds?
    var isSingleField = false
    var problem = stacks.obstacle
    do throws(ServiceEvaluation.TooManyCombinations) {
      if problem == nil {
        let needs = try Self.needs(evaluation, isEnrolled: true, override, &budget)
        unenrolled = try Self.needs(evaluation, isEnrolled: false, override, &budget)
        isSingleField =
          try evaluation.first(.init(client: .singleField), &budget) { $0.isAuthenticated && !$0.asked.isEmpty } != nil
          && needs.includesCode
        enrolled = needs
      }
    } catch {
      (unenrolled, problem) = (nil, "its modules have more than \(ServiceEvaluation.maximumCombinations) combinations")
    }
    (self.enrolled, self.unenrolled, self.isSingleField, self.problem) = (enrolled, unenrolled, isSingleField, problem)
  }

  private static func needs(
    _ evaluation: ServiceEvaluation, isEnrolled: Bool, _ override: @escaping (PAMRule, Bool) -> PAMResult?,
    _ budget: inout Int
  ) throws(ServiceEvaluation.TooManyCombinations) -> LoginNeeds {
    var passing: Set<Knowledge> = []
    let all: [Knowledge] = [[], .password, .code, [.password, .code]]
    for knows in all where !passing.contains(where: { $0.isSubset(of: knows) }) {
      let scenario = ServiceEvaluation.Scenario(
        isEnrolled: isEnrolled, knows: knows, override: { override($0, isEnrolled) })
      for scenario in [scenario, scenario.withBothAtOnce].compactMap(\.self)
      where try evaluation.first(scenario, &budget, where: \.isAuthenticated) != nil {
        passing.insert(knows)
        break
      }
    }
    return LoginNeeds(passing: passing)
  }
}

/// What logins through each service of a host require.
package struct ServiceSurvey {
  package let services: [ServiceLogins]

  package init(tree: HostTree) { self.init(configuration: PAMConfiguration(tree: tree)) }

  init(configuration: PAMConfiguration) {
    let model = PAMModuleModel(tree: configuration.tree)
    services = configuration.services.map { service in
      ServiceLogins(configuration.stacks(of: service), configuration: configuration, model: model)
    }
  }
}
