import Testing

@testable import HostDoctor

/// pam_setcred(3) as Debian's libpam 1.5.2 answered it, for stacks of pam_debug.so with CONTROL AUTH CRED on each line.
/// Authentication succeeds in all of them.
@Suite struct SetCredentialsTests {
  private static let succeeding = """
    [success=done default=die] success success
    [ignore=1 default=ignore] ignore cred_err

    [success=1 default=bad] success cred_err
    [ignore=ignore default=die] ignore success
    sufficient success success

    sufficient success success
    [auth_err=reset default=ok] success cred_expired

    [success=ok default=1] auth_err ignore
    [auth_err=2 default=ignore] ignore success
    [auth_err=die default=ok] success success

    [success=done default=1] ignore cred_err
    optional auth_err success
    required success success

    sufficient success success
    required ignore cred_expired
    sufficient auth_err cred_err

    requisite success success
    [ignore=reset default=bad] ignore cred_expired
    [auth_err=ignore default=ok] success success

    sufficient success ignore
    [auth_err=2 default=ok] auth_err success
    [success=done default=bad] success success

    sufficient success success
    [success=bad default=die] success ignore
    [success=1 default=1] success success

    [ignore=bad default=1] auth_err success
    [ignore=die default=ok] success cred_expired
    required success success

    optional success success
    optional success ignore

    optional success success
    [auth_err=1 default=bad] auth_err ignore
    requisite success success

    [success=done default=1] success success
    [auth_err=bad default=ignore] success cred_expired
    sufficient success cred_expired
    """

  private static let failing = """
    [success=1 default=die] success success
    requisite success cred_err
    [ignore=1 default=ok] success cred_expired

    sufficient success ignore
    [ignore=die default=bad] success success

    [success=1 default=ignore] success success
    optional ignore cred_expired
    sufficient success cred_expired

    sufficient success cred_expired
    [auth_err=2 default=bad] success ignore

    requisite success success
    [success=reset default=1] success cred_err
    [ignore=2 default=ok] success ignore

    optional success ignore
    sufficient success cred_err
    [ignore=1 default=ok] success success

    [success=ok default=1] success cred_expired
    required ignore success

    sufficient success ignore
    [ignore=2 default=die] success success

    sufficient success ignore
    requisite success cred_err
    requisite ignore cred_err

    [success=done default=1] success cred_expired
    [success=ok default=1] ignore success

    [success=done default=ignore] success cred_err
    optional success ignore

    [success=reset default=1] success cred_err
    optional success cred_expired
    required success success

    [success=done default=1] success cred_expired
    [ignore=ignore default=die] success success
    """

  @Test(arguments: [(succeeding, true), (failing, false)])
  func theResultsOfAuthenticationDecideWhatIsCalled(stacks: String, succeeds: Bool) throws {
    for stack in stacks.split(separator: "\n\n") {
      let lines = stack.split(separator: "\n").map { line in
        let words = line.split(separator: " ")
        let control = words.dropLast(2).joined(separator: " ")
        return "auth \(control) pam_debug.so auth=\(words[words.count - 2]) cred=\(words[words.count - 1])\n"
      }
      let host = try TemporaryHost(["/etc/debian_version": "", "/etc/pam.d/x": lines.joined()])
      let runs = try host.read { tree in
        let configuration = PAMConfiguration(tree: tree)
        let stacks = configuration.stacks(of: "x")
        return try ServiceEvaluation(stacks, configuration: configuration, model: PAMModuleModel(tree: tree)).runs(
          .init())
      }
      #expect(runs.map(\.isAuthenticated) == [true] && runs.map(\.setsCredentials) == [succeeds], "\(stack)")
    }
  }
}
