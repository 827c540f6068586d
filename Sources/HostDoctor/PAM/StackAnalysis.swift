/// What can happen in a stack: every combination of right and wrong that matters is played through.
struct StackAnalysis {
  /// Which check of a password succeeds.
  enum Password: Equatable {
    case none
    case one(Int)
    case all
  }

  /// A run: what was assumed, and what came of it.
  struct Run {
    let trial: PAMTrial
    /// Whether our module was called.
    let asked: Int
    /// The conditions that were assumed to hold, by their place among ``StackAnalysis/conditions``.
    let assumption: Int
  }

  let stack: PAMStack
  let passwords: [PAMRule]
  let conditions: [PAMRule]
  let others: [PAMRule]

  /// The answers by which the module refuses.
  static let refusals = ["auth_err", "maxtries", "authinfo_unavail", "conv_err", "service_err"]

  /// More conditions than these are taken to hold: the runs double with each.
  private static let mostConditions = 8

  init(_ stack: PAMStack) {
    self.stack = stack
    let rules = stack.rules
    passwords = rules.filter { PAMModules.passwords.contains($0.name) }
    others = rules.filter { PAMModules.otherFactors.contains($0.name) }
    conditions = Array(rules.filter(PAMModules.isOpen).prefix(Self.mostConditions))
  }

  /// Plays every combination of conditions.
  ///
  /// - Parameters:
  ///   - password: Which password is right.
  ///   - code: What our module answers.
  ///   - other: Which module of another factor succeeds, if any.
  /// - Returns: What came of each.
  func runs(password: Password, code: String, other: PAMRule? = nil) -> [Run] {
    (0..<(1 << conditions.count)).map { assumption in
      let trial = PAMTrial(stack) { rule in
        if rule.isTwoFactor { return code }
        if let index = passwords.firstIndex(of: rule) {
          return password == .all || password == .one(index) ? "success" : "auth_err"
        }
        if others.contains(rule) { return rule == other ? "success" : "auth_err" }
        if let index = conditions.firstIndex(of: rule) {
          return assumption & 1 << index != 0 ? "success" : "auth_err"
        }
        return PAMModules.usualAnswer(of: rule)
      }
      return Run(trial: trial, asked: trial.called.filter(\.isTwoFactor).count, assumption: assumption)
    }
  }

  /// The ways in which a password can be right.
  var rightPasswords: [Password] { passwords.indices.map(Password.one) + (passwords.count > 1 ? [.all] : []) }

  /// All runs with a right password. Where the stack checks none, sshd may have checked a key before.
  func runsWithRightPassword(code: String) -> [Run] {
    guard !passwords.isEmpty else { return runs(password: .none, code: code) }
    return rightPasswords.flatMap { runs(password: $0, code: code) }
  }
}
