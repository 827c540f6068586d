import HostAccess
import Testing

@testable import HostDoctor

@Suite struct ServiceOptionCheckTests {
  private static let unix = "auth requisite pam_unix.so\n"
  private static let ssh = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n"
  private static let both = "AuthenticationMethods publickey,keyboard-interactive:pam\n"
  private static let weak = "Match Address 192.0.2.0/24\nAuthenticationMethods keyboard-interactive:pam\n"

  /// The findings about stacks and sshd that are neither ok nor about missing files.
  private func problems(_ services: [String: String], conf: String? = nil, ssh: String = ssh) throws -> [Finding] {
    let host = try TemporaryHost(["/etc/ssh/sshd_config": ssh])
    for (name, rules) in services { try host.write("/etc/pam.d/\(name)", rules) }
    if let conf { try host.write(HostSettings.path, conf) }
    return host.read { HostExamination(tree: $0, account: nil).findings }.filter {
      ["warning", "failed"].contains($0.status.rawValue)
        && ["pam_", "ssh_", "require_method", "remote_"].contains(where: $0.name.hasPrefix)
    }
  }

  @Test func aRequiredMethodReplacesThePasswordInTheServiceOfSSHAlone() throws {
    let rule = "auth required pam_twofactor.so require_method=publickey\n"
    #expect(try problems(["sshd": rule], ssh: Self.ssh + Self.both) == [])
    // The block refuses all its users.
    let refused = try problems(["sshd": rule], ssh: Self.ssh + Self.both + Self.weak)
    #expect(refused.map(\.summary) == ["ssh_required_method warning"])
    let problems = try problems(["sshd": rule, "login": Self.unix + rule], ssh: Self.ssh + Self.both)
    #expect(problems.map(\.summary) == ["require_method failed"])
    #expect(problems.first?.remedy == "in /etc/pam.d/login, line 2: auth required pam_twofactor.so")
  }

  @Test func aRequiredMethodOfTheFileMovesToTheServiceOfSSH() throws {
    let rule = "auth required pam_twofactor.so\n"
    let problems = try problems(
      ["sshd": rule, "login": Self.unix + rule], conf: "debug = yes\nrequire_method = publickey\n",
      ssh: Self.ssh + Self.both)
    #expect(problems.map(\.summary) == ["require_method failed"])
    #expect(
      problems.first?.remedy
        == "in /etc/pam.d/sshd, line 1: auth required pam_twofactor.so require_method=publickey\n"
        + "in /etc/security/twofactor.conf, remove line 2: require_method = publickey")
  }

  @Test(arguments: ["", "AuthenticationMethods keyboard-interactive:pam\n"])
  func aRequiredMethodThatNoLoginPassesIsFound(methods: String) throws {
    let rule = "auth required pam_twofactor.so require_method=publickey\n"
    let problems = try problems(["sshd": rule], ssh: Self.ssh + methods)
    #expect(problems.map(\.summary) == ["ssh_required_method warning"])
    #expect(problems.first?.remedy?.hasSuffix("AuthenticationMethods publickey,keyboard-interactive:pam") == true)
  }

  @Test(
    arguments: [
      ("auth required pam_twofactor.so\n", "the code alone is enough to log in"),
      (
        "auth required pam_twofactor.so nullok\nauth required pam_permit.so\n",
        "users who are not enrolled need nothing to log in"
      ),
    ])
  func aMatchBlockWithoutAKeyBeforeAStackWithoutAPasswordIsFound(rule: String, words: String) throws {
    #expect(try problems(["sshd": rule], ssh: Self.ssh + Self.both).filter { $0.status == .failed } == [])
    let found = try problems(["sshd": rule], ssh: Self.ssh + Self.both + Self.weak).filter { $0.status == .failed }
    #expect(found.map(\.summary) == ["pam_code_alone failed"])
    #expect(found.first?.detail.contains("(/etc/ssh/sshd_config, line 6, under Match Address 192.0.2.0/24") == true)
    #expect(found.first?.detail.hasSuffix(words) == true)
    #expect(
      found.first?.remedy
        == "in /etc/pam.d/sshd, line 1: auth required pam_twofactor.so require_method=publickey\n"
        + "in /etc/ssh/sshd_config, line 6: AuthenticationMethods publickey,keyboard-interactive:pam")
    #expect(try problems(["sshd": Self.unix + rule], ssh: Self.ssh + Self.both + Self.weak) == [])
  }

  @Test(arguments: ["trusted_networks=192.0.2.0/24", "grace_period=60"])
  func anOptionForAddressesNeedsAServiceThatReportsThem(option: String) throws {
    let rule = Self.unix + "auth required pam_twofactor.so \(option)\n"
    #expect(try problems(["sshd": rule]) == [])
    let problems = try problems(["login": rule])
    #expect(problems.map(\.summary) == ["remote_address warning"])
    #expect(problems.first?.remedy == "in /etc/pam.d/login, line 2: auth required pam_twofactor.so")
    #expect(try self.problems(["login": Self.unix + "auth required pam_twofactor.so grace_period=0\n"]) == [])
  }

  @Test(arguments: [("trusted_networks=192.0.2.0/24", true), ("grace_period=60", true), ("nullok", false)])
  func hostNamesOfSSHMakeTheOptionsForAddressesIneffective(option: String, matters: Bool) throws {
    let rule = Self.unix + "auth required pam_twofactor.so \(option)\n"
    let problems = try problems(["sshd": rule], ssh: "UseDNS yes\n" + Self.ssh)
    #expect(problems.map(\.summary) == (matters ? ["ssh_use_dns warning"] : []))
    if matters { #expect(problems.first?.remedy == "in /etc/ssh/sshd_config, line 1: UseDNS no") }
    #expect(try self.problems(["sshd": rule], ssh: "UseDNS no\n" + Self.ssh) == [])
  }
}
