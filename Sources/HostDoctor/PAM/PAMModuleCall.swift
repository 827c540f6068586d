/// What the person at the prompt knows.
struct Knowledge: OptionSet, Hashable {
  let rawValue: Int

  static let password = Knowledge(rawValue: 1)
  static let code = Knowledge(rawValue: 2)
}

/// A call of pam_sm_authenticate(3) or pam_sm_acct_mgmt(3), with the state of the login that affects the result.
struct PAMModuleCall {
  enum Client: Int {
    /// Replies to each prompt.
    case interactive
    /// Replies to every prompt with password and code in one text.
    case singleField
  }

  /// What the item `PAM_AUTHTOK` contains.
  enum Token: Int {
    case none
    case password
    case code
    /// The password with the code at its end.
    case both
    case other
  }

  /// The effect of the account rule of pam_twofactor.
  enum Enrollment: Int {
    /// No effect, because authentication remembered no user who is not enrolled.
    case none
    /// The user enrolls if asked.
    case made
    /// The user declines, or cannot enroll here.
    case declined
  }

  let rule: PAMRule
  let service: String
  let isEnrolled: Bool
  /// Empty if all replies are wrong.
  let knows: Knowledge
  let client: Client
  let token: Token
  var isRoot = false
  var enrollment = Enrollment.none
}

/// The possible outcomes of a call.
struct PAMModuleOutcomes {
  struct Outcome {
    let result: PAMResult
    /// Nil if the module leaves `PAM_AUTHTOK` as it is.
    var token: PAMModuleCall.Token?
    /// Whether pam_twofactor verifies a code, or asks for one.
    var asksForCode = false
    /// Whether pam_twofactor remembers a user who is not enrolled, for its account rule.
    var isRemembered = false
    /// Whether a module that checks passwords does not know the user. At least one module of the stack knows the user.
    var isUserUnknown = false
  }

  /// Within one login, calls with the same key have the outcome of the same index. Nil if calls are independent.
  var key: String?
  let all: [Outcome]
}
