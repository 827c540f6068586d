/// What a person can enter.
struct Knowledge: OptionSet, Hashable {
  let rawValue: Int

  static let password = Knowledge(rawValue: 1)
  static let code = Knowledge(rawValue: 2)
}

/// A call of pam_sm_authenticate(3) of a module, as the evaluation knows it.
struct PAMModuleCall {
  enum Client: Int {
    /// Answers each question.
    case interactive
    /// Sends password and code, as one text, at every question.
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

  let rule: PAMRule
  let service: String
  let isEnrolled: Bool
  /// Empty for a person who enters wrong answers.
  let knows: Knowledge
  let client: Client
  let token: Token
}

/// All that a call can come to.
struct PAMModuleOutcomes {
  struct Outcome {
    let result: PAMResult
    /// Nil if the module leaves `PAM_AUTHTOK` as it is.
    var token: PAMModuleCall.Token?
    /// Whether pam_twofactor verifies a code, or asks for one.
    var asksForCode = false
    /// Whether a module that checks passwords does not know the user. At least one module of a stack does.
    var isUserUnknown = false
  }

  /// Calls with the same key have the same outcome, by index, within one login; nil if they are independent.
  var key: String?
  let all: [Outcome]
}
