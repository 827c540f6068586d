import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct SSHCheckTests {
  private static let good = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n"

  private let alice = TreeAccount(
    name: "alice", userID: UserID(rawValue: 1), home: "/home/alice", mayLogIn: true, groups: ["users", "staff"])

  private func settings(_ files: [String: String], for account: TreeAccount? = nil) throws -> SSHSettings {
    try TemporaryHost(files).read { SSHConfiguration($0) }.settings(for: account)
  }

  private func problems(_ files: [String: String], for account: TreeAccount? = nil) throws -> [Finding] {
    let configuration = try TemporaryHost(files).read { SSHConfiguration($0) }
    let check = SSHCheck(settings: configuration.settings(for: account), configuration: configuration, account: account)
    return check.findings.filter { $0.status == .warning || $0.status == .failed }
  }

  @Test func theFirstLineCountsAndFilesAreIncludedInOrder() throws {
    let settings = try settings([
      "/etc/ssh/sshd_config": "Include sshd_config.d/*.conf\nUsePAM \"yes\"\nPermitRootLogin yes # not read\n",
      "/etc/ssh/sshd_config.d/20.conf": "permitrootlogin=no\n",
      "/etc/ssh/sshd_config.d/10.conf": "PermitRootLogin prohibit-password\nSkeyAuthentication no\n",
      "/etc/ssh/sshd_config.d/.hidden.conf": "UsePAM no\n",
    ])
    #expect(settings["permitrootlogin"].value == "prohibit-password" && settings.isOn("usepam"))
    #expect(settings.origin("permitrootlogin") == "/etc/ssh/sshd_config.d/10.conf, line 1")
    #expect(
      !settings.isOn("kbdinteractiveauthentication") && settings.origin("pubkeyauthentication") == "sshd's default")
  }

  @Test func anIncludeOfItselfEnds() throws {
    #expect(try settings(["/etc/ssh/sshd_config": "UsePAM yes\nInclude /etc/ssh/sshd_config\n"]).isOn("usepam"))
  }

  @Test(
    arguments: [
      ("User alice", true), ("user bob,al*", true), ("User *,!alice", false), ("Group staff", true),
      ("Group staff User bob", false), ("all", true), ("Address 192.0.2.0/24", false),
    ])
  func aMatchBlockOverridesTheLinesOutside(criteria: String, applies: Bool) throws {
    let files = ["/etc/ssh/sshd_config": "PasswordAuthentication no\nMatch \(criteria)\nPasswordAuthentication yes\n"]
    #expect(try settings(files, for: alice).isOn("passwordauthentication") == applies)
    #expect(try settings(files).isOn("passwordauthentication") == (criteria == "all"))
  }

  @Test(
    arguments: [
      ("UsePAM no\n", "ssh_use_pam failed", "in /etc/ssh/sshd_config, line 1: UsePAM yes"),
      ("KbdInteractiveAuthentication no\n", "ssh_keyboard_interactive failed", "line 1: KbdInteractive"),
      ("AuthenticationMethods publickey\n", "ssh_keyboard_interactive failed", "publickey,keyboard-interactive:pam"),
      ("PasswordAuthentication yes\n", "ssh_password_authentication warning", "PasswordAuthentication no"),
      ("PermitRootLogin yes\n", "ssh_root_login warning", "PermitRootLogin prohibit-password"),
      ("PermitEmptyPasswords yes\n", "ssh_empty_passwords warning", "PermitEmptyPasswords no"),
    ])
  func aSettingThatPreventsOrBypassesTheCodeIsFound(line: String, summary: String, remedy: String) throws {
    let problems = try problems(["/etc/ssh/sshd_config": line + Self.good])
    #expect(problems.map(\.summary) == [summary])
    #expect(problems.first?.remedy?.contains(remedy) == true, "\(problems)")
  }

  /// Only passwords of six or eight digits count.
  @Test func aPasswordSentAsTheCodeIsNotReportedToCount() throws {
    let problems = try problems(["/etc/ssh/sshd_config": "PasswordAuthentication yes\n" + Self.good])
    #expect(problems.first?.detail.hasSuffix("sends the password as the code, and is refused") == true, "\(problems)")
  }

  @Test func aRiskyMatchBlockIsFoundUnlessItAllowsKeysAlone() throws {
    let match = Self.good + "Match User git\nKbdInteractiveAuthentication no\n"
    #expect(try problems(["/etc/ssh/sshd_config": match]).map(\.summary) == ["ssh_match warning"])
    #expect(try problems(["/etc/ssh/sshd_config": match + "AuthenticationMethods publickey\n"]) == [])
    #expect(try problems(["/etc/ssh/sshd_config": match], for: alice) == [])
  }

  @Test func whatIsMissingIsWrittenToAFileThatOverridesTheVendors() throws {
    let settings = try settings(["/usr/etc/ssh/sshd_config": "PasswordAuthentication yes\n"])
    let line = "in /etc/ssh/sshd_config.d/00-twofactor.conf, before line 1: PasswordAuthentication no"
    #expect(settings.remedy("passwordauthentication", "no") == line)
  }

  @Test func reportedSettingsOverrideThoseOfTheFiles() throws {
    var settings = try settings(["/etc/ssh/sshd_config": "UsePAM no\nPermitRootLogin yes\n"])
    settings.adopt(["usepam": "yes", "permitrootlogin": "yes", "unknown": "x"])
    #expect(settings.isOn("usepam") && settings.origin("permitrootlogin") == "/etc/ssh/sshd_config, line 2")
  }

  @Test(
    arguments: [
      ("publickey,keyboard-interactive:pam", true), ("publickey,password keyboard-interactive", false), ("any", false),
    ])
  func aRequiredPublicKeyAuthenticatesBeforePAM(methods: String, isPreauthenticated: Bool) throws {
    let settings = try settings(["/etc/ssh/sshd_config": "AuthenticationMethods \(methods)\n"])
    #expect(SSHCheck.isPreauthenticated(settings) == isPreauthenticated)
  }
}
