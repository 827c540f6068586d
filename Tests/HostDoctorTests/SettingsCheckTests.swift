import HostAccess
import Testing

@testable import HostDoctor

@Suite struct SettingsCheckTests {
  private static let password = "auth required pam_unix.so\naccount required pam_unix.so\n"
  private static let groups = "users:x:100:\ndomain users:x:10000:alice\n"

  private func problems(
    _ rule: String = "auth required pam_twofactor.so", conf: String? = nil, mode: Int = 0o644,
    service: String? = password
  ) throws -> [Finding] {
    let host = try TemporaryHost(["/etc/pam.d/x": rule, "/etc/group": Self.groups])
    if let conf { try host.write(HostSettings.path, conf, mode: mode) }
    if let service { try host.write("/etc/pam.d/twofactor", service) }
    let stack = try host.stack("x")
    let rules = stack.twoFactorRules + stack.accountRules
    return host.read { SettingsCheck(tree: $0, rules: rules).findings.filter { $0.status != .ok } }
  }

  @Test func aValidConfigurationHasNoFindings() throws {
    #expect(try problems() == [])
    #expect(try problems("auth required pam_twofactor.so window=2 nullok", conf: "# ours\nissuer = A\n") == [])
  }

  /// A blank is a part of a group's name: the list is parsed as a login parses it.
  @Test(arguments: [
    "only_groups = domain users", "only_groups = users , domain users", "exempt_groups = \"domain users,100\"",
  ])
  func aGroupMayHaveABlankInItsName(conf: String) throws {
    #expect(try problems(conf: conf) == [])
    let argument = conf.replacing(" = ", with: "=").replacing("\"", with: "")
    #expect(try problems("auth required pam_twofactor.so [\(argument)]") == [])
  }

  @Test func aGroupThatDoesNotExistIsFound() throws {
    for (finding, place) in [
      (try problems(conf: "\nonly_groups = users, no such\n").first, "\(HostSettings.path), line 2, \"only_groups\""),
      (
        try problems("auth required pam_twofactor.so [exempt_groups=users,no such]").first,
        "argument \"exempt_groups\""
      ),
    ] {
      #expect(finding?.summary == "groups failed")
      let problem = "\(place): there is no such group: no such: every login is refused"
      #expect(finding?.detail == "/etc/pam.d/x, line 1: " + problem)
    }
    // Only the list in force counts: an argument overrides the file.
    #expect(try problems("auth required pam_twofactor.so only_groups=users", conf: "only_groups = none\n") == [])
  }

  @Test(
    arguments: [
      ("windows=3", "in /etc/pam.d/x, line 1: auth required pam_twofactor.so nullok\n"),
      ("window=99", "pam_twofactor.so nullok\n"),
      ("window=1 window=2", "auth required pam_twofactor.so window=1 nullok\n"),
      ("issuer=A", "pam_twofactor.so nullok\n"),
    ])
  func anInvalidArgumentIsRemoved(argument: String, remedy: String) throws {
    let problems = try problems("auth required pam_twofactor.so \(argument) nullok")
    #expect(problems.map(\.summary) == ["module_arguments failed"])
    #expect(problems.first?.remedy?.contains(remedy) == true, "\(problems)")
  }

  @Test(arguments: ["enroll=yes", "only_groups=none"])
  func anInvalidAccountRuleRefusesUsersWhoAreNotEnrolled(argument: String) throws {
    let problems = try problems("account required pam_twofactor.so \(argument)")
    #expect(problems.first?.detail.hasSuffix(": users who are not enrolled are refused") == true, "\(problems)")
  }

  @Test func anInvalidFileIsReportedOnceWithItsLine() throws {
    let problems = try problems("auth required pam_twofactor.so window=1", conf: "window = 2\nwindows = 3\n")
    #expect(problems.map(\.summary) == ["configuration failed"])
    let edit = "in \(HostSettings.path), remove line 2: windows = 3\n"
    #expect(problems.first?.remedy?.hasPrefix(edit) == true)
  }

  @Test func aFileThatOthersCanWriteIsFound() throws {
    #expect(try problems(conf: "window = 2\n", mode: 0o664).map(\.summary) == ["configuration failed"])
  }

  @Test func aFileThatARuleNamesMustExist() throws {
    let problems = try problems("auth required pam_twofactor.so conf=/etc/other.conf")
    #expect(problems.map(\.summary) == ["configuration failed"])
  }

  @Test(arguments: [nil, "# nothing\n", "auth required pam_unix.so\nauth required pam_twofactor.so\n"])
  func thePasswordServiceMustCheckThePasswordAlone(service: String?) throws {
    #expect(try problems(service: service).map(\.summary) == ["password_service warning"])
    #expect(try problems(conf: "require_password = no\n", service: nil) == [])
  }
}
