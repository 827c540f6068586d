import LoginPolicy

/// What pam_twofactor returns for a rule, according to its policy.
struct TwoFactorRule {
  typealias Outcome = PAMModuleOutcomes.Outcome
  typealias Token = PAMModuleCall.Token

  /// Nil if an option is invalid, so that every login is refused.
  private let options: EffectiveOptions?

  init(_ rule: PAMRule, tree: HostTree) {
    let names = rule.arguments.contains { $0.hasPrefix("conf=/") }
    // Only the default configuration file may be missing.
    options = names && !tree.exists(tree.configuration(of: rule)) ? nil : tree.options(of: rule)
  }

  /// Decides as `Login` of the module does.
  func outcome(of call: PAMModuleCall) -> Outcome {
    if call.rule.facility == .account { return Outcome(result: enrollmentResult(call.enrollment)) }
    guard let options else { return Outcome(result: .serviceError) }
    var outcome = authentication(call, options)
    outcome.isRemembered = !call.isEnrolled && outcome.result == .ignore && options.exemptsUnenrolledMembers
    return outcome
  }

  /// Decides as `Login.enroll` of the module does.
  private func enrollmentResult(_ enrollment: PAMModuleCall.Enrollment) -> PAMResult {
    guard enrollment != .none else { return .ignore }
    guard let options else { return .serviceError }
    switch options.enrollment {
    case .no: return .ignore
    case .offer: return enrollment == .made ? .success : .ignore
    case .require: return enrollment == .made ? .success : .permissionDenied
    }
  }

  private func authentication(_ call: PAMModuleCall, _ options: EffectiveOptions) -> Outcome {
    // Assumes that sshd reports one of the methods. No other service reports any.
    guard options.requiredMethods.isEmpty || call.service == "sshd" else {
      return Outcome(result: .authenticationError)
    }
    let isExempt = !call.isEnrolled && options.exemptsUnenrolled
    let source = options.password
    if isExempt, !source.isForwarded { return Outcome(result: .ignore) }
    if source.isTriedFirst || source.isUsedAlone {
      let outcome = earlierPassword(call, isExempt: isExempt, isForwarded: source.isForwarded)
      if source.isUsedAlone || outcome.result != .authenticationError { return outcome }
    }
    if source.isForwarded { return password(call.answerToBoth, call, isExempt: isExempt, isForwarded: true) }
    let isRight = call.isEnrolled && call.answerToCode == .code
    return Outcome(result: isRight ? .success : .authenticationError, asksForCode: true)
  }

  private func earlierPassword(_ call: PAMModuleCall, isExempt: Bool, isForwarded: Bool) -> Outcome {
    guard call.token == .none else { return password(call.token, call, isExempt: isExempt, isForwarded: isForwarded) }
    // The module prompts next, unless it has `use_first_pass`.
    let isDone = isExempt && options?.password.isUsedAlone == true
    return Outcome(result: isDone ? .ignore : .authenticationError, asksForCode: !isExempt)
  }

  private func password(_ token: Token, _ call: PAMModuleCall, isExempt: Bool, isForwarded: Bool) -> Outcome {
    if isExempt { return Outcome(result: .ignore, token: isForwarded ? token : nil) }
    let hasCode = token == .code || token == .both
    // The module cuts the code off, whatever the verdict.
    let rest = !hasCode ? token : token == .both ? .password : .other
    return Outcome(
      result: call.isEnrolled && hasCode ? .success : .authenticationError, token: isForwarded ? rest : nil,
      asksForCode: true)
  }
}

extension PAMModuleCall {
  /// What a person enters at a prompt for a password.
  var answerToPassword: Token {
    switch client {
    case .singleField: answerToBoth
    case .interactive: knows.contains(.password) ? .password : knows.contains(.code) ? .code : .other
    }
  }

  /// What a person enters at a prompt for a code.
  var answerToCode: Token {
    switch client {
    case .singleField: answerToBoth
    case .interactive: knows.contains(.code) ? .code : knows.contains(.password) ? .password : .other
    }
  }

  /// What a person enters at a prompt for the password with a code at its end.
  var answerToBoth: Token {
    switch knows {
    case .password: .password
    case .code: .code
    case []: .other
    default: .both
    }
  }
}
