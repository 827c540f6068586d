/// The least with which a user gets in; several alternatives if none includes another.
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

  /// Whether no one gets in without a code.
  package var includesCode: Bool { !isRefused && alternatives.allSatisfy { $0.contains(.code) } }

  /// - Parameter passing: Everything with which a user gets in.
  init(passing: Set<Knowledge>) {
    alternatives = passing.filter { one in !passing.contains { $0 != one && $0.isSubset(of: one) } }
  }

  /// Whether everything with which a user gets in here is enough there.
  func isAtLeast(_ other: LoginNeeds) -> Bool {
    alternatives.allSatisfy { one in other.alternatives.contains { $0.isSubset(of: one) } }
  }
}

/// What it takes to log in through a service.
package struct ServiceLogins {
  package let service: String
  /// Of an enrolled user; nil if the stack cannot be evaluated.
  package let enrolled: LoginNeeds?
  /// Of a user who is not enrolled; nil if the stack cannot be evaluated.
  package let unenrolled: LoginNeeds?
  /// Whether the stack takes password and code in one answer.
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
      let question = ServiceEvaluation.Question(
        isEnrolled: isEnrolled, knows: knows, override: { override($0, isEnrolled) })
      for question in [question, question.withBothAtOnce].compactMap(\.self)
      where try evaluation.first(question, &budget, where: \.isAuthenticated) != nil {
        passing.insert(knows)
        break
      }
    }
    return LoginNeeds(passing: passing)
  }
}

/// What it takes to log in through each service of a host.
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
