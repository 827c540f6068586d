import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct SSHCheckTests {
  private static let main = "/etc/ssh/sshd_config"
  private static let good = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n"
  private static let both = "AuthenticationMethods publickey,keyboard-interactive:pam\n"

  private static let password = "auth requisite pam_unix.so\nauth required pam_twofactor.so nullok\n"
  private static let keyOnly = "auth required pam_twofactor.so nullok\nauth required pam_permit.so\n"
  private static let singleField =
    "auth required pam_twofactor.so nullok forward_pass\nauth requisite pam_unix.so use_first_pass\n"

  private let alice = TreeAccount(
    name: "alice", userID: UserID(rawValue: 1), home: "/home/alice", mayLogIn: true, groups: ["users", "staff"])

  private func findings(
    _ settings: String, stack: String = password, service: String = "sshd", for account: TreeAccount? = nil
  ) throws -> [Finding] {
    let host = try TemporaryHost([
      Self.main: settings, "/etc/pam.d/\(service)": stack, "/etc/pam.d/other": "auth required pam_deny.so\n",
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\n",
    ])
    return host.read { tree in
      let ssh = SSHExamination(tree: tree, account: account)
      let configuration = PAMConfiguration(tree: tree)
      let stacks = configuration.stacks(of: ssh.service)
      let model = PAMModuleModel(tree: tree)
      return ssh.findings(
        of: .init(
          rules: (stacks.chains[.auth]?.rules ?? []).filter(\.isTwoFactor),
          logins: ServiceLogins(stacks, configuration: configuration, model: model),
          guidance: AccountCheck(stacks, configuration: configuration, model: model).report.guidance))
    }
  }

  private func problems(
    _ settings: String, stack: String = password, service: String = "sshd", for account: TreeAccount? = nil
  ) throws -> [Finding] {
    try findings(settings, stack: stack, service: service, for: account)
      .filter { $0.status == .warning || $0.status == .failed }
  }

  @Test(
    arguments: [
      ("UsePAM no\n", "ssh_use_pam failed", "in /etc/ssh/sshd_config, line 1: UsePAM yes"),
      ("KbdInteractiveAuthentication no\n", "ssh_keyboard_interactive failed", "line 1: KbdInteractive"),
      ("AuthenticationMethods publickey\n", "ssh_keyboard_interactive failed", "publickey,keyboard-interactive:pam"),
      (
        "PubkeyAuthentication no\n" + both, "ssh_keyboard_interactive failed",
        "in /etc/ssh/sshd_config, line 1: PubkeyAuthentication yes"
      ),
      ("PasswordAuthentication yes\n", "ssh_password_authentication warning", "PasswordAuthentication no"),
      (
        "PasswordAuthentication yes\nKerberosAuthentication yes\n", "ssh_password_authentication failed",
        "line 2: KerberosAuthentication no"
      ),
      ("PermitRootLogin yes\n", "ssh_root_login warning", "PermitRootLogin prohibit-password"),
      ("PermitEmptyPasswords yes\n", "ssh_empty_passwords warning", "PermitEmptyPasswords no"),
    ])
  func aSettingThatPreventsOrBypassesTheCodeIsFound(line: String, summary: String, remedy: String) throws {
    let problems = try problems(line + Self.good)
    #expect(problems.map(\.summary) == [summary])
    #expect(problems.first?.remedy?.contains(remedy) == true, "\(problems)")
  }

  @Test func noKeyIsRequiredInsteadOfAPassword() throws {
    let methods = "AuthenticationMethods publickey,password password\nPasswordAuthentication yes\n"
    let remedy = try problems(methods + Self.good).first?.remedy
    #expect(
      remedy
        == "in \(Self.main), line 1: AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam")
  }

  /// Only passwords of six or eight digits count.
  @Test func aPasswordSentAsTheCodeIsNotReportedToCount() throws {
    let problems = try problems("PasswordAuthentication yes\n" + Self.good)
    #expect(problems.first?.detail.hasSuffix("sends the password as the code, and is refused") == true, "\(problems)")
  }

  @Test func aSingleFieldStackNeedsNoKeyboardInteractive() throws {
    let settings = "UsePAM yes\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\n"
    #expect(try problems(settings, stack: Self.singleField) == [])
    #expect(try problems(settings).map(\.summary).contains("ssh_keyboard_interactive failed"))
  }

  // MARK: Blocks

  @Test func aBlockWithoutKeyboardInteractiveIsFoundUnlessItRequiresKeysAlone() throws {
    let match = Self.good + "Match User git\nKbdInteractiveAuthentication no\n"
    let problems = try problems(match)
    #expect(problems.map(\.summary) == ["ssh_match warning"])
    #expect(problems.first?.detail.contains("line 5, under Match User git (/etc/ssh/sshd_config, line 4)") == true)
    #expect(
      problems.first?.remedy?.hasPrefix("in \(Self.main), remove line 5: KbdInteractiveAuthentication no\n") == true)
    #expect(try self.problems(match + "AuthenticationMethods publickey\n") == [])
    #expect(try self.problems(match, for: alice) == [])
  }

  @Test func aBlockInWhichNoLoginIsPossibleFails() throws {
    let match = Self.good + Self.both + "Match Address 10.0.0.0/8\nPubkeyAuthentication no\n"
    let problems = try problems(match)
    #expect(problems.map(\.summary) == ["ssh_match failed"])
    #expect(problems.first?.detail.contains("PubkeyAuthentication is no (\(Self.main), line 6") == true, "\(problems)")
  }

  @Test func aBlockThatEnablesPasswordsIsFound() throws {
    let problems = try problems(Self.good + "Match Group staff\nPasswordAuthentication yes\n")
    #expect(problems.map(\.summary) == ["ssh_match warning"])
    #expect(problems.first?.remedy?.contains("doctor --user") == true)
  }

  /// For one account, its blocks are the ordinary settings.
  @Test func theBlocksOfAUserAreEvaluatedForTheUser() throws {
    let match = Self.good + "Match Group staff User !root,*\nPasswordAuthentication yes\n"
    #expect(try problems(match, for: alice).map(\.summary) == ["ssh_password_authentication warning"])
  }

  @Test func aBlockThatAllowsRootIsNamed() throws {
    let problems = try problems(Self.good + "Match Address 10.0.0.0/8\nPermitRootLogin yes\n")
    #expect(problems.map(\.summary) == ["ssh_root_login warning"])
    #expect(problems.first?.detail.contains("under Match Address 10.0.0.0/8 (\(Self.main), line 4)") == true)
  }

  @Test func aBlockWithAnUnknownCriterionIsNamed() throws {
    let problems = try problems(Self.good + "Match Colour red\nPasswordAuthentication yes\n")
    #expect(problems.map(\.summary) == ["ssh_match warning"] && problems[0].detail.contains("Colour"))
    #expect(try self.problems(Self.good + "Match invalid-user\nPasswordAuthentication yes\n") == [])
  }

  @Test func blocksBeyondTheLimitAreReported() throws {
    let blocks = (0..<33).map { "Match User user\($0)\nKbdInteractiveAuthentication yes\n" }.joined()
    let last = try #require(try findings(Self.good + blocks).last)
    #expect(last.summary == "ssh_match skipped" && last.detail.contains("only 32 Match blocks"))
  }

  // MARK: Stacks without a password

  @Test func aStackWithoutAPasswordNeedsAKeyBeforeIt() throws {
    #expect(try problems(Self.good + Self.both, stack: Self.keyOnly) == [])
    let open = try problems(Self.good, stack: Self.keyOnly)
    #expect(open.map(\.summary) == ["pam_code_alone failed"])
    #expect(open.first?.remedy == "in /etc/pam.d/sshd, before line 1: auth requisite pam_unix.so")
  }

  @Test(
    arguments: [
      ("keyboard-interactive", keyOnly, "users who are not enrolled need nothing to log in"),
      ("keyboard-interactive:pam publickey", keyOnly, "users who are not enrolled need nothing to log in"),
      (
        "any", "auth required pam_twofactor.so\nauth required pam_permit.so\n", "the code alone is enough to log in"
      ),
      ("keyboard-interactive,publickey", keyOnly, nil), ("publickey,keyboard-interactive publickey", keyOnly, nil),
      ("keyboard-interactive", password, nil),
    ] as [(String, String, String?)])
  func aBlockThatReachesSuchAStackWithoutAKeyFails(methods: String, stack: String, effect: String?) throws {
    let settings = Self.good + Self.both + "Match Address 192.0.2.0/24\nAuthenticationMethods \(methods)\n"
    let problems = try problems(settings, stack: stack)
    guard let effect else { return #expect(problems == []) }
    #expect(problems.map(\.summary) == ["pam_code_alone failed"])
    #expect(
      problems[0].detail.contains("line 6, under Match Address 192.0.2.0/24") && problems[0].detail.hasSuffix(effect))
    #expect(
      problems[0].remedy?.hasSuffix("in \(Self.main), line 6: AuthenticationMethods publickey,keyboard-interactive:pam")
        == true)
  }

  @Test(
    arguments: [
      (both, nil), ("", "ssh_required_method warning"),
      ("AuthenticationMethods keyboard-interactive,publickey\n", "ssh_required_method warning"),
      (both + "Match Address 10.0.0.0/8\nAuthenticationMethods keyboard-interactive\n", "ssh_required_method warning"),
    ] as [(String, String?)])
  func aRequiredMethodMustComeBeforePAM(settings: String, summary: String?) throws {
    let stack = "auth required pam_twofactor.so require_method=publickey\nauth required pam_permit.so\n"
    #expect(try problems(Self.good + settings, stack: stack).map(\.summary) == [summary].compactMap { $0 })
  }

  @Test func theServiceOfPAMServiceNameIsExamined() throws {
    #expect(try problems("PAMServiceName ssh\n" + Self.good, service: "ssh") == [])
    #expect(try findings("PAMServiceName ssh\n" + Self.good).map(\.summary) == ["ssh skipped"])
  }

  @Test(arguments: ["\n", "\r\n"]) func aServiceOfAMatchBlockIsExamined(end: String) throws {
    let settings = Self.good + "Match User alice\nPAMServiceName plain\(end)"
    let host = try TemporaryHost([
      Self.main: settings, "/etc/pam.d/sshd": Self.password, "/etc/pam.d/plain": "auth requisite pam_unix.so\n",
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\n",
    ])
    let problems = host.read { tree in
      let found = HostFindings(tree: tree, account: nil)
      return found.ofSSH.filter { $0.status != .ok }
        .map { RemedySearch(before: found).verified($0, in: { $0.ofSSH }) }
    }
    #expect(problems.map(\.summary) == ["ssh_match warning"])
    #expect(problems.first?.remedy?.hasPrefix("in \(Self.main), remove line 5: PAMServiceName plain\n") == true)
  }

  @Test(.timeLimit(.minutes(1))) func aLongListOfAddressesIsExamined() throws {
    let addresses = (0..<2_500).map { "10.\($0 / 250).\($0 % 250).1" }.joined(separator: ",")
    let problems = try problems(Self.good + "Match Address \(addresses)\nPasswordAuthentication yes\n")
    #expect(problems.map(\.summary) == ["ssh_match warning"])
  }

  @Test(.timeLimit(.minutes(1)), arguments: [(1_500, "ssh_match warning"), (100_000, "ssh warning")])
  func aLongListOfUsersIsExaminedOrReported(count: Int, summary: String) throws {
    let users = (1...count).map { "user\($0)" }.joined(separator: ",")
    let problems = try problems(Self.good + "Match User \(users)\nPasswordAuthentication yes\n")
    #expect(problems.map(\.summary) == [summary])
  }

  @Test func aConfigurationThatSshdRejectsFails() throws {
    let problems = try problems(Self.good + "Match User alice\nUsePAM no\n")
    #expect(problems.map(\.summary) == ["ssh failed"] && problems[0].detail.contains("line 5"))
  }

  @Test func aConfigurationThatIsTooLongIsNotChecked() throws {
    let problems = try problems(Self.good + String(repeating: "\n", count: 250_000))
    #expect(problems.map(\.summary) == ["ssh warning"] && problems[0].detail.contains("were not checked"))
  }

  private static let enrolling =
    "auth requisite pam_unix.so\nauth required pam_twofactor.so enroll=MODE\n"
    + "account required pam_twofactor.so enroll=MODE\naccount required pam_unix.so\n"

  @Test(
    arguments: [
      ("UsePAM yes", "require", "ok", "the method \"password\" shows no questions: it refuses users who are not"),
      ("UsePAM yes", "offer", "ok", "logins with publickey alone are not asked to enroll"),
      ("UsePAM yes\nPasswordAuthentication no", "require", "ok", "keyboard-interactive leads users"),
      ("UsePAM yes\nKbdInteractiveAuthentication no", "require", "warning", "so nobody can enroll at login"),
      ("UsePAM yes\nKbdInteractiveAuthentication no", "offer", "ok", "it offers no enrollment"),
    ])
  func onlyPromptsLeadThroughEnrollment(settings: String, mode: String, status: String, words: String) throws {
    let stack = Self.enrolling.replacing("MODE", with: mode)
    let found = try findings(settings, stack: stack).filter { $0.name == "ssh_enrollment" }
    #expect(found.map(\.status.rawValue) == [status])
    #expect(found.first?.detail.contains(words) == true, "\(found)")
    #expect(
      found.first?.remedy
        == (status == "ok" ? nil : "in /etc/ssh/sshd_config, line 2: KbdInteractiveAuthentication yes"))
    #expect(!(try findings(settings)).contains { $0.name == "ssh_enrollment" })
  }

  @Test(
    arguments: [
      ("keyboard-interactive:pam,publickey", "publickey,keyboard-interactive:pam"),
      (
        "publickey,keyboard-interactive keyboard-interactive,hostbased",
        "publickey,keyboard-interactive hostbased,keyboard-interactive"
      ),
      ("publickey,keyboard-interactive:pam,password", "publickey,password,keyboard-interactive:pam"),
      ("publickey,keyboard-interactive keyboard-interactive:pam,publickey", nil),
      ("keyboard-interactive,publickey,keyboard-interactive", nil),
    ] as [(String, String?)])
  func keyboardInteractiveIsTheLastMethodIfItEnrolls(methods: String, remedy: String?) throws {
    let settings =
      "AuthenticationMethods \(methods)\nUsePAM yes\nPasswordAuthentication yes\nHostbasedAuthentication yes\n"
    let stack = Self.enrolling.replacing("MODE", with: "offer")
    let found = try #require(try findings(settings, stack: stack).first { $0.name == "ssh_enrollment" })
    #expect(
      found.status == .warning && found.detail.contains("AuthenticationMethods is \(methods) (\(Self.main), line 1)"))
    #expect(
      found.remedy
        == (remedy.map { "in \(Self.main), line 1: AuthenticationMethods \($0)" }
          ?? "name keyboard-interactive once in each list, as the last method"))
    #expect(!(try findings(settings)).contains { $0.name == "ssh_enrollment" })
  }

  @Test func anEnrollmentWithoutAnyProofFails() throws {
    let stack =
      "auth required pam_twofactor.so enroll=offer\nauth required pam_permit.so\n"
      + "account required pam_twofactor.so enroll=offer\naccount required pam_unix.so\n"
    for (methods, status) in [
      ("keyboard-interactive,publickey", Finding.Status.failed),
      ("hostbased,keyboard-interactive,publickey", .warning),
    ] {
      let settings = "AuthenticationMethods \(methods)\nUsePAM yes\nHostbasedAuthentication yes\n"
      let found = try #require(try findings(settings, stack: stack).first { $0.name == "ssh_enrollment" })
      #expect(found.status == status, "\(found)")
      #expect(found.detail.hasSuffix(" without authentication") == (status == .failed), "\(found)")
    }
  }

  @Test(
    arguments: [
      "publickey,keyboard-interactive", "keyboard-interactive,publickey keyboard-interactive", "password,publickey",
      "keyboard-interactive,hostbased publickey",
    ])
  func anEnrollmentAfterAllOtherMethodsIsNotReported(methods: String) throws {
    let settings = "AuthenticationMethods \(methods)\nUsePAM yes\n"
    let stack = Self.enrolling.replacing("MODE", with: "offer")
    #expect(try findings(settings, stack: stack).allSatisfy { $0.name != "ssh_enrollment" || $0.status == .ok })
  }

  @Test func aBlockThatEnrollsBeforeTheKeyIsFoundAndFixed() throws {
    let settings = Self.good + "Match User alice\n  AuthenticationMethods keyboard-interactive:pam,publickey\n"
    let host = try TemporaryHost([
      Self.main: settings, "/etc/pam.d/sshd": Self.enrolling.replacing("MODE", with: "require"),
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\n",
    ])
    let problems = host.read { tree in
      let found = HostFindings(tree: tree, account: nil)
      return found.ofSSH.filter { $0.status != .ok }
        .map { RemedySearch(before: found).verified($0, in: { $0.ofSSH }) }
    }
    #expect(problems.map(\.summary) == ["ssh_match warning"])
    #expect(problems.first?.detail.contains("line 5, under Match User alice (\(Self.main), line 4)") == true)
    #expect(
      problems.first?.remedy == "in \(Self.main), line 5: AuthenticationMethods publickey,keyboard-interactive:pam")
  }

  @Test(arguments: [("119", 119), ("1m", 60), ("2m", nil), ("0", nil), ("1h30m", nil), ("45S", 45)])
  func anEnrollmentNeedsTime(value: String, seconds: Int?) throws {
    let settings = "UsePAM yes\nPasswordAuthentication no\nLoginGraceTime \(value)\n"
    let stack = Self.enrolling.replacing("MODE", with: "offer")
    let found = try findings(settings, stack: stack).filter { $0.name == "ssh_login_grace_time" }
    #expect(
      found.first.map { $0.detail.contains("LoginGraceTime is \(seconds ?? 0) seconds") } == seconds.map { _ in true })
    #expect(found.first?.remedy == seconds.map { _ in "in /etc/ssh/sshd_config, line 3: LoginGraceTime 120" })
    #expect(!(try findings(settings)).contains { $0.name == "ssh_login_grace_time" })
  }
}
