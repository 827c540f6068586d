import Testing

@testable import HostDoctor

@Suite struct ServiceEvaluationTests {
  private static let unix = """
    auth [success=1 default=ignore] pam_unix.so
    auth requisite pam_deny.so
    auth required pam_permit.so

    """
  private static let ours = "auth required pam_twofactor.so"

  private func logins(_ stack: String) throws -> ServiceLogins {
    let host = try TemporaryHost(["/etc/debian_version": "", "/etc/pam.d/x": stack])
    return try #require(host.read { ServiceSurvey(tree: $0).services.first { $0.service == "x" } })
  }

  private func evaluation(_ host: TemporaryHost) -> ServiceEvaluation {
    host.read { tree in
      let configuration = PAMConfiguration(tree: tree)
      return ServiceEvaluation(
        configuration.stacks(of: "x"), configuration: configuration, model: PAMModuleModel(tree: tree))
    }
  }

  @Test(arguments: [
    ("auth required pam_permit.so", "nothing"), ("auth required pam_deny.so", "refused"), (unix, "password"),
    (unix + ours, "password+code"), (ours, "code"), ("auth sufficient pam_unix.so\n" + ours, "code or password"),
    ("auth required pam_unix.so\nauth sufficient pam_twofactor.so", "password"),
    ("auth optional pam_unix.so\n" + ours, "code"), (ours + "\nauth requisite pam_deny.so", "refused"),
    // A substack ends at its own `done`.
    ("auth substack inner\n" + ours, "refused"),
    // The code is found only if the user types it after the password.
    (
      "auth optional pam_unix.so\n\(ours) use_first_pass forward_pass\nauth required pam_unix.so use_first_pass",
      "password+code"
    ),
    // libpam gives up on a module without a name, and Debian's crashes on an include without one.
    ("auth sufficient pam_permit.so\nauth optional /", "refused"),
    ("auth sufficient pam_permit.so\nauth include", "refused"),
  ])
  func theLeastThatIsRequiredIsReported(stack: String, needs: String) throws {
    #expect(try logins(stack).enrolled?.text == needs)
  }

  @Test func usersWhoAreNotEnrolledAreRefusedWithoutNullok() throws {
    #expect(try logins(Self.unix + Self.ours).unenrolled?.text == "refused")
  }

  @Test func moreThanTenThousandCombinationsAreNotEvaluated() throws {
    let lines = (0..<9).map { "auth [success=ok ignore=ignore default=bad] pam_unknown\($0).so" }
    let logins = try logins(lines.joined(separator: "\n") + "\nauth requisite pam_deny.so")
    #expect(logins.enrolled == nil && logins.unenrolled == nil)
    #expect(logins.problem == "its modules have more than 10000 combinations")
  }

  @Test func aRightReplyThatOnlyOurRuleRefusesIsFound() throws {
    // The line moved the target of the jump.
    let stack = "auth [success=1 default=ignore] pam_unix.so\n\(Self.ours)\nauth requisite pam_deny.so\n"
    let evaluation = evaluation(try TemporaryHost(["/etc/pam.d/x": stack + "auth required pam_permit.so"]))
    let runs = try evaluation.runs(.init(compares: true))
    #expect(runs.map(\.isAuthenticated) == [false] && runs.map(\.passesWithoutTwoFactor) == [true])
  }

  @Test func aStackThatFailsToSetCredentialsIsFound() throws {
    let host = try TemporaryHost(["/etc/pam.d/x": "auth required pam_debug.so cred=cred_err"])
    #expect(try evaluation(host).runs(.init()).map(\.setsCredentials) == [false])
  }

  @Test func atLeastOnePasswordModuleKnowsTheUser() throws {
    let stack = "auth sufficient pam_unix.so\nauth sufficient pam_sss.so use_first_pass\nauth required pam_deny.so"
    let runs = try evaluation(try TemporaryHost(["/etc/pam.d/x": stack])).runs(.init())
    #expect(runs.count >= 2 && runs.allSatisfy(\.isAuthenticated))
  }
}

@Suite struct LoginNeedsTests {
  @Test func alternativesAreMinimal() {
    let needs = LoginNeeds(passing: [.password, .code, [.password, .code]])
    #expect(needs.text == "code or password" && !needs.includesCode)
    #expect(LoginNeeds(passing: [[], .password]).text == "nothing")
    #expect(LoginNeeds(passing: [[.password, .code]]).includesCode && !LoginNeeds(passing: []).includesCode)
  }

  @Test func needsAreCompared() {
    let both = LoginNeeds(passing: [[.password, .code]])
    let password = LoginNeeds(passing: [.password])
    #expect(both.isAtLeast(password) && !password.isAtLeast(both))
    #expect(LoginNeeds(passing: []).isAtLeast(both) && !both.isAtLeast(LoginNeeds(passing: [])))
  }
}
