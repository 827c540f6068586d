import Foundation
import HostAccess
import SystemFiles
import Testing

@testable import HostDoctor

private let path = "/var/lib/twofactor/users"
private let helper = "/usr/libexec/twofactor/twofactor-helper"

private func stack(_ arguments: String) -> String { "auth required pam_twofactor.so \(arguments)\n" }

@Suite struct HostStoreCheckTests {
  private func host(_ argument: String = "store=host", conf: String = "") throws -> TemporaryHost {
    try TemporaryHost(["/etc/pam.d/x": stack(argument), HostSettings.path: conf])
  }

  private func findings(on host: TemporaryHost) throws -> [Finding] {
    let rules = try host.stack("x").twoFactorRules
    return host.read { HostStoreCheck(tree: $0).findings(of: rules) }
  }

  private func failure(on host: TemporaryHost) throws -> Finding {
    let failures = try findings(on: host).filter { $0.status != .ok }
    #expect(failures.map(\.summary) == ["host_store failed"])
    return try #require(failures.first)
  }

  @Test(arguments: [
    ("store=host", ""), ("", "store = host\n"), ("directory=/var/lib/twofactor/users/%U", ""),
    ("", "directory = /var/lib/twofactor/users/%U\n"),
  ])
  func aCorrectHostStoreHasNoProblem(argument: String, conf: String) throws {
    let host = try host(argument, conf: conf)
    try host.makeHostStore()
    #expect(try findings(on: host).map(\.summary) == ["host_store ok", "host_store ok"])
  }

  @Test(arguments: ["", "store=home", "directory=/srv/%U"])
  func aHostStoreThatNobodySelectsIsNotChecked(argument: String) throws {
    #expect(try findings(on: try host(argument)) == [])
  }

  @Test func aMissingDirectoryIsFound() throws {
    let host = try host()
    try host.makeHostStore()
    try FileManager.default.removeItem(atPath: host.place(path))
    let finding = try failure(on: host)
    #expect(finding.detail == "\(path) does not exist: users cannot enroll, and every login is refused")
    #expect(finding.remedy?.hasSuffix("&& install -d -o root -g _twofactor -m 1730 \(path)") == true)
  }

  @Test(
    arguments: [
      ("", 0o1770, "chmod 1730 "), ("", 0o755, "chmod 1730 "), ("", 0o1733, "chmod 1730 "), ("", 0o730, "chmod 1730 "),
      ("/..", 0o775, "chmod go-w "), ("/../..", 0o777, "chmod go-w "),
    ])
  func aWrongModeIsFound(place: String, mode: Int, remedy: String) throws {
    let host = try host()
    try host.makeHostStore()
    let path = URL(filePath: path + place).standardized.path
    try host.change(path, mode: mode)
    #expect(try failure(on: host).remedy == remedy + path)
    // A login walks through a sticky parent.
    if place != "" {
      try host.change(path, mode: 0o1777)
      #expect(try findings(on: host).map(\.summary) == ["host_store ok", "host_store ok"])
    }
  }

  @Test func aWrongGroupIsFound() throws {
    let host = try host()
    try host.makeHostStore()
    try host.write("/etc/group", "_twofactor:x:4299:\n")
    #expect(
      try findings(on: host).map(\.remedy) == [
        "chown root:_twofactor \(path) && chmod 1730 \(path)",
        "chown root:_twofactor \(helper) && chmod 2755 \(helper)",
      ])
    try host.write("/etc/group", "")
    #expect(try failure(on: host).detail.hasPrefix("the group _twofactor does not exist"))
  }

  @Test(arguments: [0o755, 0o6755, 0o2775, 0o2750])
  func aHelperWithTheWrongModeIsFound(mode: Int) throws {
    let host = try host()
    try host.makeHostStore(helper: mode)
    let finding = try failure(on: host)
    #expect(
      finding.detail.hasPrefix("\(helper) does not have the owner root, the group _twofactor and the mode 2755: "))
    #expect(finding.remedy == "chown root:_twofactor \(helper) && chmod 2755 \(helper)")
  }

  @Test func aMissingHelperIsFound() throws {
    let host = try host()
    try host.makeHostStore()
    try FileManager.default.removeItem(atPath: host.place(helper))
    #expect(try failure(on: host).detail.hasPrefix("twofactor-helper is not installed: users cannot change"))
    let other = "/usr/local/libexec/twofactor/twofactor-helper"
    try host.write(other, "", mode: 0o755)
    #expect(try failure(on: host).remedy == "chown root:_twofactor \(other) && chmod 2755 \(other)")
    try host.change(other, mode: 0o2751)
    #expect(try findings(on: host).last?.summary == "host_store ok")
  }

  @Test func orphansAreFoundUnderEveryPolicy() throws {
    let host = try TemporaryHost(["\(path)/4202/credential": "x", "\(path)/4203.new-1/credential": "x"])
    for template in ["~/.twofactor", "/var/lib/twofactor/users/%U"] {
      var settings = HostSettings()
      settings.directoryTemplate = template
      let findings = host.read { tree in
        OrphanCheck.findings(in: tree, settings, missing: [], isAccount: { _ in true }, isUserID: { _ in false })
      }
      #expect(findings.map(\.summary) == ["enrollment warning"])
      #expect(findings.first?.remedy == "rm -r \(path)/4202")
    }
    #expect(host.read { HostStoreCheck(tree: $0).users.map(\.rawValue) } == [4202])
  }

  @Test(arguments: ["pam_mkhomedir", "pam_unix"])
  func homesDoNotMatter(module: String) throws {
    let host = try TemporaryHost([
      "/etc/pam.d/login": stack("nullok") + "session optional \(module).so\n", HostSettings.path: "store = host\n",
      "/usr/lib/systemd/system/login.service": "[Service]\nExecStart=/bin/login\nProtectHome=yes\n",
    ])
    #expect(host.read { HostFindings(tree: $0, account: nil).ofPolicy } == [])
    #expect(host.read { HostFindings(tree: $0, account: nil).ofUnits } == [])
    try host.write(HostSettings.path, "store = home\n")
    #expect(host.read { HostFindings(tree: $0, account: nil).ofUnits }.map(\.name) == ["protect_home"])
  }
}

@Suite struct StorePolicyTests {
  private func findings(_ stacks: [String: String], _ configuration: String) throws -> [Finding] {
    var files = Dictionary(uniqueKeysWithValues: stacks.map { ("/etc/pam.d/\($0)", stack($1)) })
    files[HostSettings.path] = configuration
    files["/etc/other.conf"] = "store = host\n"
    return try TemporaryHost(files).read { tree in
      let before = HostFindings(tree: tree, account: nil)
      return before.ofPolicy.map { finding in
        // The remedy removes this finding, and adds none.
        let after = before.applying([Edit](remedy: finding.remedy ?? ""))
        #expect(after?.ofPolicy.count { $0.status != .ok } == before.ofPolicy.count { $0.status != .ok } - 1)
        return finding
      }
    }
  }

  @Test func rulesWithAnotherStoreThanTheFileAreFailures() throws {
    let conf = HostSettings.path
    let line = "auth required pam_twofactor.so"
    for (stacks, configuration, place, words, remedy) in [
      (["sshd": "store=host"], "", "", "host, but it is home by default", "in \(conf): store = host"),
      (["sshd": "store=host"], "store = home\n", "", "host, but it is home in", "in \(conf), line 1: store = host"),
      (["sshd": "store=host", "su": ""], "", "", "host, but", "in /etc/pam.d/sshd, line 1: \(line) store=home"),
      (["sshd": "store=home"], "store = host\n", "", "home, but it is host in", "in \(conf), line 1: store = home"),
      (
        ["sshd": "conf=/etc/other.conf", "su": ""], "", " (/etc/other.conf, line 1)", "host, but",
        "in /etc/other.conf, line 1: store = home"
      ),
    ] {
      let findings = try findings(stacks, configuration)
      #expect(findings.map(\.summary) == ["policy failed"])
      #expect(findings.first?.detail.hasPrefix("/etc/pam.d/sshd, line 1\(place): store is \(words)") == true)
      #expect(findings.first?.remedy == remedy)
    }
  }

  @Test func aRuleWithADirectoryAgainstTheStoreOfTheFileIsAFailure() throws {
    let alone = try #require(try findings(["sshd": "directory=/srv/%u"], "store = host\n").first)
    #expect(alone.detail.contains("directory is /srv/%u, but it is /var/lib/twofactor/users/%U in"))
    #expect(alone.remedy == "in \(HostSettings.path), line 1: directory = /srv/%u")
    let one = try #require(try findings(["sshd": "directory=/srv/%u", "su": ""], "store = host\n").first)
    #expect(one.remedy?.hasSuffix(": auth required pam_twofactor.so directory=/var/lib/twofactor/users/%U") == true)
  }

  @Test(arguments: [
    ("store=host", "directory = /var/lib/twofactor/users/%U\n"), ("store=home", "directory = %h/.twofactor\n"),
    ("directory=/var/lib/twofactor/users/%U", "store = host\n"), ("store=home", ""),
    ("", "store = host\ndirectory = /var/lib/twofactor/users/%U\n"),
  ])
  func twoWordsForOneStoreAgree(argument: String, configuration: String) throws {
    #expect(try findings(["sshd": argument], configuration) == [])
  }

  @Test func aStoreThatDirectoryOverridesIsFound() throws {
    let finding = try #require(try findings(["sshd": ""], "store = host\ndirectory = ~/codes\n").first)
    #expect(finding.summary == "policy warning")
    #expect(finding.detail.hasSuffix("line 1: store has no effect, because line 2 sets directory"))
    #expect(finding.remedy?.hasPrefix("in \(HostSettings.path), remove line 1: store = host\n") == true)
  }
}
