/// A mistake in a stack. Services that include the same lines share it.
struct StackFinding {
  let name: String
  let status: Finding.Status
  /// Completed by the names of the services.
  let words: String
  /// The rule of pam_twofactor, if one is wrong.
  var rule: PAMRule?
  /// Another rule that causes the mistake.
  var cause: PAMRule?
  /// The line that libpam rejects.
  var problem: PAMProblem?
  /// Whether another check reports the cause.
  var isReportedElsewhere = false
  /// Qualifies the remedy of something that may be intended.
  var condition: String?

  /// Whether it is about the account stack.
  var isOfAccounts: Bool { name == "pam_account" || name.hasPrefix("enrollment_") }

  /// Does not depend on other lines.
  var identity: String {
    let line = cause ?? rule
    return [name, line.map { "\($0.file) \($0.module) \($0.arguments)" } ?? "", problem?.text ?? ""]
      .joined(separator: " ")
  }

  /// Whether the other is the same after a change. A stack can have several of some findings.
  func isSame(as other: StackFinding) -> Bool {
    let once = [
      "pam_requisite", "pam_order", "pam_twice", "pam_nullok", "pam_bypass", "pam_code_alone", "pam_account",
      "enrollment_bypass", "enrollment_control", "enrollment_options",
    ]
    return name == other.name && (once.contains(name) || identity == other.identity)
  }

  func detail(of services: [String]) -> String {
    "\(words) (\(services.count == 1 ? "service" : "services") \(services.joined(separator: ", ")))"
  }

  /// The remedy if no edit is known to help.
  var advice: String {
    if name == "enrollment_bypass", cause == nil {
      return "add to the account stack of each of these services: account required pam_twofactor.so"
    }
    let place = problem.map { "\($0.file), line \($0.line)" } ?? (cause ?? rule)?.place
    let command = "compare the services that `twofactor doctor --json` lists"
    return place.map { "look at \($0); no change of one or two lines is known to be safe" } ?? command
  }
}
