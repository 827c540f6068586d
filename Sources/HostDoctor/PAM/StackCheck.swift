/// Looks at one stack that names the module: whether the code is asked for, after the password, and counts.
struct StackCheck {
  let stack: PAMStack
  /// Whether something before PAM proved who it is, as a public key for sshd.
  let isProvedBefore: Bool
  private let analysis: StackAnalysis

  init(_ stack: PAMStack, isProvedBefore: Bool) {
    self.stack = stack
    self.isProvedBefore = isProvedBefore
    analysis = StackAnalysis(stack)
  }

  /// What there is to say; empty for a stack that is right.
  var findings: [Finding] {
    var findings = stack.problems.map {
      Finding.failed(
        "pam_syntax", "\($0.words): nobody can log in through it", remedy: $0.edit.text + "\nor correct it")
    }
    findings += stack.misplaced.map {
      .failed(
        "pam_facility", "\($0.place), names the module for \($0.facility), and it is for auth alone: logins fail",
        remedy: $0.removal.text)
    }
    guard let rule = stack.twoFactorRules.first else { return findings }
    guard stack.problems.isEmpty else { return findings }
    // A failure explains whatever else there is: one mistake, one finding.
    let found = [
      refusals(rule), bypass(rule), success(rule), codeAlone(rule), order(rule), twice, notEnrolled(rule),
      missing(rule),
    ].compactMap { $0 }
    return findings + (found.first { $0.status == .failed }.map { [$0] } ?? found)
  }

  /// A refused code that is not a refused login.
  private func refusals(_ rule: PAMRule) -> Finding? {
    for refusal in StackAnalysis.refusals {
      let passes = analysis.runsWithRightPassword(code: refusal).contains { $0.asked > 0 && $0.trial.passes }
      guard passes else { continue }
      let guilty = stack.twoFactorRules.first { ![.bad, .die].contains($0.control.action(on: refusal)) } ?? rule
      return .failed(
        "pam_control",
        "\(guilty.place): with \"\(guilty.control.text)\" a login goes through although the code was refused "
          + "(\(refusal))",
        remedy: guilty.with(control: "required").text)
    }
    return nil
  }

  /// A right password, or something else, that gets in without a code.
  private func bypass(_ rule: PAMRule) -> Finding? {
    let runs = analysis.runsWithRightPassword(code: "auth_err")
    let around = runs.filter { $0.asked == 0 && $0.trial.passes }
    if let first = around.first {
      let last = first.trial.called.last
      let end = last.map { "\($0.place) (\($0.module), \($0.control.text))" } ?? stack.service
      guard isUnconditional else {
        let conditions = analysis.conditions.map(\.place).joined(separator: "; ")
        return .warning(
          "pam_condition", "the service \(stack.service) asks some logins for no code: it depends on \(conditions)",
          remedy: analysis.conditions.map(\.removal).text + "\nif that is not meant; or move it behind: \(rule.text())")
      }
      return .failed(
        "pam_bypass",
        "the service \(stack.service) never comes to \(rule.place): with a right password it ends at \(end)",
        remedy: bypassRemedy(last, rule))
    }
    for other in analysis.others {
      let passes = analysis.runs(password: .none, code: "auth_err", other: other).contains { $0.trial.passes }
      if passes {
        return .warning(
          "pam_alternative", "\(other.place): \(other.module) lets in without password and code",
          remedy: other.removal.text + "\nif that is not meant")
      }
    }
    return nil
  }

  /// Whether some password gets around the code whenever it lets in at all, whatever the conditions are.
  private var isUnconditional: Bool {
    let passwords = analysis.passwords.isEmpty ? [.none] : analysis.rightPasswords
    return passwords.contains { password in
      let passing = analysis.runs(password: password, code: "success").filter(\.trial.passes)
      return !passing.isEmpty && passing.allSatisfy { $0.asked == 0 }
    }
  }

  private func bypassRemedy(_ last: PAMRule?, _ rule: PAMRule) -> String {
    let repair = StackRepair(stack: stack)
    let jumping = repair.jumping()
    if !jumping.isEmpty { return jumping.text }
    if let last, let password = analysis.passwords.last(where: { last == $0 }) {
      return password.with(control: "requisite").text
    }
    guard let last, last != rule else { return repair.moved(rule).text }
    return [rule.removal, Edit.insertBehind(file: last.file, line: last.line, text: rule.text())].text
  }

  /// Everything is right, and the login fails all the same.
  private func success(_ rule: PAMRule) -> Finding? {
    guard !analysis.runsWithRightPassword(code: "success").contains(where: { $0.trial.passes }) else { return nil }
    return .failed(
      "pam_dead_end", "the service \(stack.service) refuses everybody, also with a right password and a right code",
      remedy: deadEndRemedy(rule))
  }

  private func deadEndRemedy(_ rule: PAMRule) -> String {
    let jumping = StackRepair(stack: stack).jumping()
    if !jumping.isEmpty { return jumping.text }
    let refusing = analysis.runsWithRightPassword(code: "success").compactMap { $0.trial.called.last }
      .first { $0.name == "pam_deny" }
    return refusing?.removal.text ?? "look at the counts of success=N, and at what follows \(rule.place)"
  }

  /// A code that is enough, without a password.
  private func codeAlone(_ rule: PAMRule) -> Finding? {
    if analysis.passwords.isEmpty, isProvedBefore { return nil }
    guard analysis.runs(password: .none, code: "success").contains(where: { $0.trial.passes }) else { return nil }
    if analysis.passwords.isEmpty, analysis.others.isEmpty {
      return .failed(
        "pam_code_alone", "the service \(stack.service) asks for no password: the code alone is enough",
        remedy: Edit.insertBefore(file: rule.file, line: rule.line, text: "auth requisite pam_unix.so").text)
    }
    return .failed(
      "pam_code_alone",
      "\(rule.place): with \"\(rule.control.text)\" the code alone is enough, without a right password",
      remedy: rule.with(control: "required").text)
  }

  /// A code that is asked for before the password is known to be right.
  private func order(_ rule: PAMRule) -> Finding? {
    guard let first = stack.rules.firstIndex(where: { PAMModules.passwords.contains($0.name) }),
      let ours = stack.rules.firstIndex(where: \.isTwoFactor)
    else { return nil }
    if ours < first {
      return .failed(
        "pam_order",
        "\(rule.place): the code is asked for before the password, so a stranger can use up a user's tries",
        remedy: StackRepair(stack: stack).moved(rule).text)
    }
    guard analysis.runs(password: .none, code: "auth_err").contains(where: { $0.asked > 0 }) else { return nil }
    let guilty = analysis.passwords.last ?? rule
    return .warning(
      "pam_requisite",
      "the service \(stack.service) asks for a code also after a wrong password (\(guilty.place)), so a stranger "
        + "can use up a user's tries",
      remedy: StackRepair(stack: stack).requisite(guilty).text)
  }

  /// A code that is asked for twice: the second time it is used up.
  private var twice: Finding? {
    guard analysis.runsWithRightPassword(code: "success").contains(where: { $0.asked > 1 }),
      let second = stack.twoFactorRules.dropFirst().first
    else { return nil }
    return .failed(
      "pam_twice",
      "the service \(stack.service) asks for two codes, the second one at \(second.place): a code is good once",
      remedy: second.removal.text)
  }

  /// `nullok` that the control field takes back.
  private func notEnrolled(_ rule: PAMRule) -> Finding? {
    guard rule.arguments.contains(where: { $0 == "nullok" || $0 == "nullok=yes" }),
      !analysis.runsWithRightPassword(code: "ignore").contains(where: { $0.trial.passes })
    else { return nil }
    // An answer that is ignored leaves nothing that says yes: libpam then refuses.
    guard rule.control.action(on: "ignore") != .ignore else {
      return .warning(
        "pam_nullok", "\(rule.place): users who are not enrolled are refused in spite of nullok: nothing else says yes",
        remedy: Edit.insertBehind(file: rule.file, line: rule.line, text: "auth required pam_permit.so").text)
    }
    return .warning(
      "pam_nullok",
      "\(rule.place): with \"\(rule.control.text)\" users who are not enrolled are refused in spite of nullok",
      remedy: rule.with(control: "required").text)
  }

  /// A module that may be missing without anybody noticing.
  private func missing(_ rule: PAMRule) -> Finding? {
    let passes = analysis.runsWithRightPassword(code: "module_unknown").contains { $0.asked > 0 && $0.trial.passes }
    guard passes else { return nil }
    return .failed(
      "pam_control",
      "\(rule.place): with \"\(rule.control.text)\" no code is asked for when the module cannot be loaded",
      remedy: rule.with(control: "required").text)
  }
}
