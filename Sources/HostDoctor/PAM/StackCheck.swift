/// Checks that a stack asks for a code after a right password, and denies the login if the code is refused.
struct StackCheck {
  let stack: PAMStack
  /// Whether the service authenticates users before it calls PAM, as sshd does with public keys.
  let isPreauthenticated: Bool
  /// The place of a `Match` block in which sshd does not; nil if there is none.
  let exception: String?
  private let analysis: StackAnalysis

  init(_ stack: PAMStack, isPreauthenticated: Bool, exception: String? = nil) {
    self.stack = stack
    self.isPreauthenticated = isPreauthenticated
    self.exception = exception
    analysis = StackAnalysis(stack)
  }

  var findings: [Finding] {
    var findings = stack.problems.map {
      Finding.failed(
        "pam_syntax", "\($0.words): every login through it fails", remedy: $0.edit.text + "\nor correct it")
    }
    findings += stack.misplaced.map {
      .failed(
        "pam_facility", "\($0.place), calls the module for \($0.facility), but it supports auth alone: logins fail",
        remedy: $0.removal.text)
    }
    guard stack.problems.isEmpty, let rule = stack.twoFactorRules.first else { return findings }
    // The first failure explains the others.
    let found = [
      ignoredRefusal(rule), bypass(rule), deadEnd(rule), codeAlone(rule), order(rule), secondCode, ignoredNullok(rule),
      missingModule(rule),
    ].compactMap { $0 }
    return findings + (found.first { $0.status == .failed }.map { [$0] } ?? found)
  }

  private func ignoredRefusal(_ rule: PAMRule) -> Finding? {
    for refusal in StackAnalysis.refusals {
      let passes = analysis.runsWithRightPassword(code: refusal).contains { $0.asked > 0 && $0.trial.passes }
      guard passes else { continue }
      let guilty = stack.twoFactorRules.first { ![.bad, .die].contains($0.control.action(on: refusal)) } ?? rule
      return .failed(
        "pam_control",
        "\(guilty.place): with \"\(guilty.control.text)\" a login succeeds although the code was refused (\(refusal))",
        remedy: guilty.with(control: "required").text)
    }
    return nil
  }

  private func bypass(_ rule: PAMRule) -> Finding? {
    let runs = analysis.runsWithRightPassword(code: "auth_err")
    if let first = runs.first(where: { $0.asked == 0 && $0.trial.passes }) {
      let last = first.trial.called.last
      let end = last.map { "\($0.place) (\($0.module), \($0.control.text))" } ?? stack.service
      guard isUnconditional else {
        let conditions = analysis.conditions.map(\.place).joined(separator: "; ")
        return .warning(
          "pam_condition", "the service \(stack.service) asks for no code in some logins, depending on \(conditions)",
          remedy: analysis.conditions.map(\.removal).text
            + "\nif that is not intended; or move it after: \(rule.text())")
      }
      return .failed(
        "pam_bypass",
        "the service \(stack.service) never reaches \(rule.place): with a right password it ends at \(end)",
        remedy: bypassRemedy(last, rule))
    }
    for other in analysis.others {
      let passes = analysis.runs(password: .none, code: "auth_err", other: other).contains { $0.trial.passes }
      if passes {
        return .warning(
          "pam_alternative", "\(other.place): \(other.module) is enough to log in, without password and code",
          remedy: other.removal.text + "\nif that is not intended")
      }
    }
    return nil
  }

  /// Whether, with some password, every successful login bypasses the code.
  private var isUnconditional: Bool {
    let passwords = analysis.passwords.isEmpty ? [.none] : analysis.rightPasswords
    return passwords.contains { password in
      let passing = analysis.runs(password: password, code: "success").filter(\.trial.passes)
      return !passing.isEmpty && passing.allSatisfy { $0.asked == 0 }
    }
  }

  private func bypassRemedy(_ last: PAMRule?, _ rule: PAMRule) -> String {
    let repair = StackRepair(stack: stack)
    let jumps = repair.jumps()
    if !jumps.isEmpty { return jumps.text }
    if let last, let password = analysis.passwords.last(where: { last == $0 }) {
      return password.with(control: "requisite").text
    }
    guard let last, last != rule else { return repair.moved(rule).text }
    return [rule.removal, Edit.insertAfter(file: last.file, line: last.line, text: rule.text())].text
  }

  private func deadEnd(_ rule: PAMRule) -> Finding? {
    guard !analysis.runsWithRightPassword(code: "success").contains(where: { $0.trial.passes }) else { return nil }
    return .failed(
      "pam_dead_end", "the service \(stack.service) refuses every login, even with a right password and a right code",
      remedy: deadEndRemedy(rule))
  }

  private func deadEndRemedy(_ rule: PAMRule) -> String {
    let jumps = StackRepair(stack: stack).jumps()
    if !jumps.isEmpty { return jumps.text }
    let refusing = analysis.runsWithRightPassword(code: "success").compactMap { $0.trial.called.last }
      .first { $0.name == "pam_deny" }
    return refusing?.removal.text ?? "check the numbers in success=N, and the lines after \(rule.place)"
  }

  private func codeAlone(_ rule: PAMRule) -> Finding? {
    if analysis.passwords.isEmpty, isPreauthenticated, exception == nil { return nil }
    guard analysis.runs(password: .none, code: "success").contains(where: { $0.trial.passes }) else { return nil }
    if analysis.passwords.isEmpty, isPreauthenticated, let exception {
      let isOpen = analysis.runs(password: .none, code: "ignore").contains { $0.trial.passes }
      return .failed(
        "pam_code_alone",
        "\(exception): sshd calls PAM without a public key there, and the service \(stack.service) asks for no password: "
          + (isOpen ? "users who are not enrolled need nothing to log in" : "the code alone is enough to log in"),
        remedy: rule.requiringPublicKey.text)
    }
    if analysis.passwords.isEmpty, analysis.others.isEmpty {
      return .failed(
        "pam_code_alone", "the service \(stack.service) asks for no password: the code alone is enough to log in",
        remedy: Edit.insertBefore(file: rule.file, line: rule.line, text: "auth requisite pam_unix.so").text)
    }
    return .failed(
      "pam_code_alone",
      "\(rule.place): with \"\(rule.control.text)\" the code alone is enough to log in, without a right password",
      remedy: rule.with(control: "required").text)
  }

  private func order(_ rule: PAMRule) -> Finding? {
    guard let first = stack.rules.firstIndex(where: { PAMModules.passwords.contains($0.name) }),
      let ours = stack.rules.firstIndex(where: \.isTwoFactor)
    else { return nil }
    if ours < first {
      // In a single-field service, the password module needs the password that pam_twofactor forwards.
      guard !rule.forwardsPassword else { return nil }
      return .failed(
        "pam_order",
        "\(rule.place): the code is asked for before the password, so anyone can lock a user out with wrong codes",
        remedy: StackRepair(stack: stack).moved(rule).text)
    }
    guard analysis.runs(password: .none, code: "auth_err").contains(where: { $0.asked > 0 }) else { return nil }
    let guilty = analysis.passwords.last ?? rule
    return .warning(
      "pam_requisite",
      "the service \(stack.service) asks for a code even after a wrong password (\(guilty.place)), so anyone can lock "
        + "a user out with wrong codes",
      remedy: StackRepair(stack: stack).requisite(guilty).text)
  }

  private var secondCode: Finding? {
    guard analysis.runsWithRightPassword(code: "success").contains(where: { $0.asked > 1 }),
      let second = stack.twoFactorRules.dropFirst().first
    else { return nil }
    return .failed(
      "pam_twice",
      "the service \(stack.service) asks for two codes, the second at \(second.place): a code can be used once",
      remedy: second.removal.text)
  }

  private func ignoredNullok(_ rule: PAMRule) -> Finding? {
    guard rule.arguments.contains(where: { $0 == "nullok" || $0 == "nullok=yes" }),
      !analysis.runsWithRightPassword(code: "ignore").contains(where: { $0.trial.passes })
    else { return nil }
    // libpam denies a login in which no module returned success.
    guard rule.control.action(on: "ignore") != .ignore else {
      return .warning(
        "pam_nullok",
        "\(rule.place): users who are not enrolled are refused despite nullok: no other module returns success",
        remedy: rule.requiringPublicKey.text)
    }
    return .warning(
      "pam_nullok",
      "\(rule.place): with \"\(rule.control.text)\" users who are not enrolled are refused despite nullok",
      remedy: rule.with(control: "required").text)
  }

  private func missingModule(_ rule: PAMRule) -> Finding? {
    let passes = analysis.runsWithRightPassword(code: "module_unknown").contains { $0.asked > 0 && $0.trial.passes }
    guard passes else { return nil }
    return .failed(
      "pam_control",
      "\(rule.place): with \"\(rule.control.text)\" no code is asked for if the module cannot be loaded",
      remedy: rule.with(control: "required").text)
  }
}
