/// What the modules of a host can return.
final class PAMModuleModel {
  private let tree: HostTree

  init(tree: HostTree) { self.tree = tree }

  /// What a call can come to. Never empty.
  func outcomes(of call: PAMModuleCall) -> PAMModuleOutcomes {
    switch call.rule.name {
    case "pam_permit": PAMModuleOutcomes(all: [.init(result: .success)])
    case "pam_deny": PAMModuleOutcomes(all: [.init(result: .authenticationError)])
    case "pam_twofactor":
      PAMModuleOutcomes(
        all: [
          .init(
            result: call.isEnrolled && call.knows.contains(.code) ? .success : .authenticationError, asksForCode: true)
        ])
    case "pam_unix":
      PAMModuleOutcomes(
        key: "pam_unix",
        all: [
          .init(result: call.knows.contains(.password) ? .success : .authenticationError, token: .password),
          .init(result: .userUnknown, isUserUnknown: true),
        ])
    default: PAMModuleOutcomes(all: [.init(result: .success), .init(result: .ignore), .init(result: .abort)])
    }
  }

  /// The result of pam_sm_setcred(3) after a result of pam_sm_authenticate(3).
  func setCredentials(_ rule: PAMRule, authentication: PAMResult?) -> PAMResult {
    rule.name == "pam_deny" ? .credentialsError : .success
  }
}
