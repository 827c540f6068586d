import Foundation
import HostAccess
import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct RegisterCheckTests {
  private static let path = "/var/lib/twofactor/enrolled"

  private func host(_ argument: String = "nullok", conf: String = "") throws -> TemporaryHost {
    try TemporaryHost(["/etc/pam.d/x": "auth required pam_twofactor.so \(argument)\n", HostSettings.path: conf])
  }

  private func finding(on host: TemporaryHost) throws -> Finding {
    let rules = try host.stack("x").twoFactorRules
    return host.read { RegisterCheck(tree: $0).finding(of: rules) }
  }

  @Test(arguments: ["nullok", "required_from=2030-01-01", "only_groups=staff"])
  func aMissingRegisterIsFoundIfUsersMayPass(argument: String) throws {
    let finding = try finding(on: try host(argument))
    #expect(finding.summary == "register warning" && finding.detail.contains("/etc/pam.d/x, line 1"))
    #expect(finding.remedy?.hasSuffix("install -d -o root -g _twofactor -m 1730 \(Self.path)") == true)
    #expect(try self.finding(on: try host("window=2", conf: argument.replacing("=", with: " = "))).status != .ok)
  }

  @Test func aMissingRegisterIsNotMissedIfAllUsersAreAsked() throws {
    #expect(try finding(on: try host("")).summary == "register skipped")
  }

  /// The module treats /var/lib/twofactor as an unmounted file system.
  @Test func aMissingRegisterFailsForEnrollmentsBesideIt() throws {
    let finding = try finding(on: try host("nullok directory=/var/lib/twofactor/%u"))
    #expect(finding.summary == "register failed" && finding.detail.contains("refuses users who are not enrolled"))
  }

  @Test func aCorrectRegisterHasNoProblem() throws {
    let host = try host()
    try host.makeRegister(4201)
    #expect(try finding(on: host).status == .ok)
  }

  @Test(
    arguments: [
      ("", 0o1770, "chmod 1730 "), ("", 0o755, "chmod 1730 "), ("", 0o1733, "chmod 1730 "),
      ("/..", 0o777, "chmod o-w "), ("/../..", 0o1777, "chmod o-w "),
      ("/../../../..", 0o777, "chmod o-w "),
    ])
  func aWrongModeIsFound(place: String, mode: Int, remedy: String) throws {
    let host = try host()
    try host.makeRegister()
    let path = URL(filePath: Self.path + place).standardized.path
    try host.change(path, mode: mode)
    let finding = try finding(on: host)
    #expect(finding.summary == "register failed" && finding.remedy == remedy + path)
  }

  @Test func aMissingGroupIsFound() throws {
    let host = try host()
    try host.makeRegister()
    try host.write("/etc/group", "root:x:0:\n")
    #expect(try finding(on: host).detail.hasPrefix("the group _twofactor does not exist"))
    try host.write("/etc/group", "_twofactor:x:4299:\n")
    #expect(try finding(on: host).remedy == "chown root:_twofactor \(Self.path) && chmod 1730 \(Self.path)")
  }

  @Test func aLinkIsFound() throws {
    let host = try host()
    try host.makeDirectory("/srv")
    try host.makeDirectory("/var/lib/twofactor")
    try host.link(Self.path, to: "/srv")
    #expect(try finding(on: host).detail == "\(Self.path) is not a directory: users who are not enrolled are refused")
  }

  @Test func aLinkAboveTheParentIsFollowed() throws {
    let host = try host()
    try host.makeRegister()
    try FileManager.default.moveItem(atPath: host.place("/var"), toPath: host.place("/disk"))
    try host.link("/var", to: "/disk")
    #expect(try finding(on: host).status == .ok)
  }

  @Test func entriesWithoutAnAccountAreNamed() throws {
    let host = try TemporaryHost(["/etc/passwd": "alice:x:4201:4201::/home/alice:/bin/sh\n"])
    try host.makeRegister(4201, 4302, 4301)
    try host.write("\(Self.path)/notes", "")
    func finding() -> Finding? {
      host.read { tree in RegisterCheck(tree: tree).finding(ofUsersOutside: TreeAccount.all(in: tree)) }
    }
    #expect(finding()?.summary == "register warning")
    #expect(finding()?.detail.contains("the user IDs 4301, 4302, which no account has") == true)
    #expect(finding()?.remedy?.hasSuffix("\nrm \(Self.path)/4301 \(Self.path)/4302") == true)
    // Another source may know the accounts.
    try host.write("/etc/nsswitch.conf", "passwd: files sss\n")
    #expect(finding() == nil)
  }
}

@Suite struct GroupSourceCheckTests {
  private func findings(_ sources: String, _ argument: String = "only_groups=staff") throws -> [Finding] {
    let host = try TemporaryHost([
      "/etc/pam.d/x": "auth required pam_twofactor.so [\(argument)]\n", "/etc/nsswitch.conf": sources,
    ])
    let rules = try host.stack("x").twoFactorRules
    return host.read { GroupSourceCheck(tree: $0, rules: rules).findings }
  }

  @Test(arguments: [
    "group: files systemd\n", "group: files [SUCCESS=merge] systemd\ninitgroups: compat\n", "passwd: files sss\n",
    "group: files # sss\n", "# group: sss\n", "",
  ])
  func localSourcesHaveNoFindings(sources: String) throws {
    #expect(try findings(sources) == [])
  }

  @Test(arguments: [
    ("passwd: files\ngroup:\tfiles [NOTFOUND=return] sss", "sss", 2), ("group: ldap files\n", "ldap", 1),
    ("group: files\ninitgroups: files winbind\n", "winbind", 2),
  ])
  func aRemoteSourceIsNamed(sources: String, name: String, line: Int) throws {
    let finding = try #require(try findings(sources).first)
    #expect(finding.summary == "group_sources warning")
    #expect(finding.detail.contains("the groups that \(name) reports (/etc/nsswitch.conf, line \(line))"))
    #expect(finding.remedy?.hasPrefix("compare: getent group staff && id USER") == true)
    #expect(finding.remedy?.contains("ignore_group_members") == (name == "sss"))
  }

  @Test func eachOptionHasItsEffect() throws {
    let options = "exempt_groups=domain users] [only_groups=staff"
    let findings = try findings("group: files sss\n", options)
    #expect(findings.map { $0.detail.contains("exempt_groups") } == [true, false])
    #expect(findings[0].detail.hasSuffix("is asked for a code"))
    #expect(findings[0].remedy?.contains("getent group 'domain users'") == true)
    #expect(findings[1].detail.hasSuffix("passes without a code unless enrolled"))
    #expect(try self.findings("group: files sss\n", "nullok") == [])
  }
}
