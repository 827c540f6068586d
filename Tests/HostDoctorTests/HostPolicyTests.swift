import SystemFiles
import Testing

@testable import HostDoctor

private let path = "/etc/security/twofactor.conf"

private func stack(_ arguments: String, control: String = "required") -> String {
  "auth requisite pam_unix.so\nauth \(control) pam_twofactor.so \(arguments)\n"
}

@Suite struct StackPolicyCheckTests {
  /// The findings of `ofPolicy` for the stacks of services, by the arguments of the module.
  private func findings(_ stacks: [String: String], _ configuration: String?) throws -> [Finding] {
    var files = Dictionary(uniqueKeysWithValues: stacks.map { ("/etc/pam.d/\($0)", stack($1)) })
    files[path] = configuration
    return try TemporaryHost(files).read { HostFindings(tree: $0, account: nil).ofPolicy }
  }

  @Test func aDirectoryOnlyInTheStacksIsAFailureThatNamesBothPlaces() throws {
    let finding = try #require(try findings(["sshd": "directory=/srv/%u"], "window = 2\n").first)
    #expect(finding.summary == "policy failed")
    #expect(
      finding.detail.hasPrefix("/etc/pam.d/sshd, line 2: directory is /srv/%u, but it is ~/.twofactor by default"))
    // Logins look there already.
    #expect(finding.remedy == "in \(path): directory = /srv/%u")
    let other = try findings(["sshd": "directory=/srv/%u"], "window = 2\ndirectory = ~/codes\n").first
    #expect(other?.detail.contains("~/codes in \(path), line 2:") == true)
    #expect(other?.remedy == "in \(path), line 2: directory = /srv/%u")
  }

  @Test func theOnlyStackWithADirectoryIsChangedToThatOfTheFile() throws {
    let all = try findings(["sshd": "directory=/srv/%u", "login": ""], nil)
    #expect(all.map(\.summary) == ["policy failed"])
    #expect(all.first?.remedy == "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so directory=~/.twofactor")
    #expect(try findings(["sshd": "directory=%h/.twofactor"], nil) == [])
  }

  @Test func aDirectoryInTheFileOfAnotherStackIsFound() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/sshd": stack("conf=/etc/other.conf"), "/etc/other.conf": "window = 1\ndirectory = /srv/%u\n",
    ])
    let finding = try #require(host.read { HostFindings(tree: $0, account: nil).ofPolicy }.first)
    #expect(finding.detail.hasPrefix("/etc/pam.d/sshd, line 2 (/etc/other.conf, line 2): directory is /srv/%u"))
  }

  @Test func anArgumentThatContradictsNullokOfTheFileIsAFailure() throws {
    let lax = try #require(try findings(["sshd": "nullok"], "nullok = no\n").first)
    #expect(lax.summary == "policy failed")
    #expect(lax.detail.hasPrefix("/etc/pam.d/sshd, line 2: nullok is yes, but it is no in \(path), line 1:"))
    #expect(lax.remedy == "in \(path), remove line 1: nullok = no")
    let strict = try #require(try findings(["sshd": "nullok=no", "login": ""], "nullok = yes\n").first)
    #expect(
      strict.remedy == "in /etc/pam.d/login, line 2: auth required pam_twofactor.so nullok\n"
        + "in \(path), remove line 1: nullok = yes")
    #expect(try findings(["sshd": "nullok", "login": ""], "window = 2\n").map(\.summary) == ["policy ok"])
  }

  @Test func anOwnerThatOnlyTheStackNamesIsFound() throws {
    let stacks = ["radiusd": "directory=/srv/%u owner=freerad"]
    let finding = try #require(try findings(stacks, "directory = /srv/%u\n").first)
    #expect(finding.summary == "policy failed")
    #expect(finding.detail.contains("owner is freerad, but it is not set by default"))
    #expect(finding.remedy == "set owner only in \(path)")
    let same = try findings(stacks, "directory = /srv/%u\nowner = freerad\n")
    #expect(
      same.map(\.detail) == [
        "/etc/pam.d/radiusd, line 2: owner is freerad, and there is no such account: every login is refused"
      ])
  }

  @Test func loginsAndCommandAgreeOnShared() throws {
    let all = try findings(["sshd": "shared"], nil).filter { $0.detail.contains("shared is") }
    #expect(all.map(\.summary) == ["policy failed"])
    #expect(all[0].detail.contains("shared is yes, but it is no by default, because \(path) does not set it"))
    #expect(all[0].remedy == "in \(path): shared = yes")
    let one = try findings(["sshd": "shared", "login": ""], nil).filter { $0.detail.contains("shared is") }
    #expect(one.map(\.remedy) == ["in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so shared=no"])
    #expect(try findings(["sshd": "shared"], "shared = yes\n").allSatisfy { !$0.detail.contains("shared is") })
  }

  @Test func aMissingParentOfTheEnrollmentsIsFound() throws {
    let settings = "directory = /srv/codes/%u\n"
    let finding = try #require(try findings(["sshd": "nullok"], settings).first)
    #expect(finding.summary == "policy failed" && finding.detail.contains("/srv/codes does not exist"))
    #expect(finding.remedy == "install -d -o root -g root -m 755 /srv/codes")
    #expect(try findings(["sshd": ""], settings) == [])
    #expect(try findings(["sshd": "nullok"], "directory = /srv/%u\n").map(\.summary) == ["policy failed"])
    #expect(try findings(["sshd": "nullok"], "directory = /%u\n") == [])
  }

  @Test func servicesThatDifferInNullokAreReported() throws {
    let told = try findings(["sshd": "", "login": "nullok", "su": "required_from=2999-01-01"], nil)
    #expect(told.map(\.summary) == ["policy ok"])
    #expect(told.first?.detail == "users who are not enrolled may pass in login, su, but not in sshd")
    #expect(try findings(["sshd": "", "su": ""], nil) == [])
  }

  @Test func anArgumentThatOverridesTheFileIsReported() throws {
    let told = try findings(["sshd": "window=3 look_ahead=5 max_failures=7"], "window = 1\nlook_ahead = 5\n")
    #expect(told.map(\.summary) == ["policy ok"])
    #expect(
      told.first?.detail == "/etc/pam.d/sshd, line 2: window=3 overrides window = 1 (\(path), line 1) in this service")
  }
}

@Suite struct FirstLoginCheckTests {
  private func findings(_ session: String, _ arguments: String) throws -> [Finding] {
    let host = try TemporaryHost([
      "/etc/pam.d/login": stack(arguments) + "@include common-session\n", "/etc/pam.d/common-session": session + "\n",
      "/etc/debian_version": "12\n",
    ])
    return host.read { HostFindings(tree: $0, account: nil).ofPolicy }.filter { $0.name == "first_login" }
  }

  @Test func aHomeThatIsCreatedAfterThePromptIsFound() throws {
    let finding = try #require(try findings("session optional pam_mkhomedir.so", "nullok").first)
    #expect(finding.summary == "first_login warning")
    #expect(
      finding.detail.hasPrefix("/etc/pam.d/common-session, line 1: pam_mkhomedir creates")
        && finding.detail.hasSuffix(" login"))
    #expect(try findings("session optional pam_unix.so", "nullok") == [])
    #expect(try findings("session optional pam_mkhomedir.so", "") == [])
    #expect(try findings("session optional pam_mkhomedir.so", "nullok directory=/var/lib/twofactor/%u") == [])
  }
}

@Suite struct UnitCheckTests {
  private func findings(
    _ files: [String: String], services: Set<String> = ["sshd", "dovecot", "login"]
  ) throws -> [Finding] {
    try TemporaryHost(files).read { UnitCheck(tree: $0, services: services).findings }
  }

  private let unit = "/usr/lib/systemd/system/ssh.service"

  @Test(
    arguments: [
      ("ProtectHome=yes", "every user is refused"), ("ProtectHome = tmpfs", "every user is refused"),
      ("ProtectHome=read-only\nReadWritePaths=/srv", "every enrolled user is refused"),
    ])
  func aUnitThatHidesTheHomesIsFound(setting: String, effect: String) throws {
    let finding = try #require(try findings([unit: "[Service]\nExecStart=-/usr/sbin/sshd -D\n\(setting)\n"]).first)
    #expect(finding.summary == "protect_home failed" && finding.detail.hasPrefix("\(unit), line 3: ProtectHome="))
    #expect(finding.detail.contains(effect))
    let dropIn = "/etc/systemd/system/ssh.service.d/twofactor.conf"
    #expect(finding.remedy?.hasPrefix("in \(dropIn): [Service]\nin \(dropIn): ProtectHome=no\nsystemctl ") == true)
  }

  @Test func aUnitThatDoesNotHideTheHomesIsNotReported() throws {
    for setting in [
      "ProtectHome=no", "#ProtectHome=yes", "ProtectHome=yes\nProtectHome=no",
      "ProtectHome=read-only\nReadWritePaths=-/home /srv", "ProtectHome=tmpfs\nBindPaths=/home",
    ] {
      #expect(try findings([unit: "[Service]\nExecStart=/usr/sbin/sshd -D\n\(setting)\n"]) == [])
    }
    #expect(try findings([unit: "[Service]\nExecStart=/usr/sbin/sshd\nProtectHome=yes\n"], services: ["login"]) == [])
    #expect(try findings([unit: "[Unit]\nProtectHome=yes\n[Service]\nExecStart=/usr/sbin/sshd\n"]) == [])
  }

  @Test func dropInsAndTemplatesApply() throws {
    let vendor = "/usr/lib/systemd/system"
    let files = [
      "\(vendor)/dovecot.service": "[Service]\nExecStart=/usr/sbin/dovecot -F\nProtectHome=yes\n",
      "/etc/systemd/system/dovecot.service.d/10-home.conf": "[Service]\nProtectHome=no\n",
      "\(vendor)/getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear - $TERM\n",
      "/etc/systemd/system/getty@tty1.service.d/x.conf": "[Service]\nProtectHome=true\n",
    ]
    let all = try findings(files)
    #expect(
      all.map(\.detail).map { String($0.prefix { $0 != ":" }) } == [
        "/etc/systemd/system/getty@tty1.service.d/x.conf, line 2"
      ])
    #expect(
      all.first?.remedy?.hasPrefix("in /etc/systemd/system/getty@tty1.service.d/x.conf, line 2: ProtectHome=no") == true
    )
    // A file of the same name in a stronger folder replaces the other.
    let hidden = files.merging(["\(vendor)/getty@tty1.service.d/x.conf": "[Service]\nProtectHome=no\n"]) { $1 }
    #expect(try findings(hidden).count == 1)
  }
}

@Suite struct UnenrolledCheckTests {
  private let shadow = "root:*:1::::::\nalice:$y$x:1::::::\nbob:!:1::::::\n"
  private let passwd = ["root", "alice", "bob", "carl"].map { "\($0):x:1:1::/:/bin/sh\n" }.joined()

  private func findings(
    _ stacks: [String: String], _ users: [UnenrolledUser], enrolled: Int = 1, shadow: String? = nil
  ) throws -> [Finding] {
    var files = Dictionary(uniqueKeysWithValues: stacks.map { ("/etc/pam.d/\($0)", $1) })
    if let shadow { files.merge(["/etc/shadow": shadow, "/etc/passwd": passwd]) { $1 } }
    return try TemporaryHost(files).read {
      UnenrolledCheck(tree: $0, services: ServiceSurvey(tree: $0).services).findings(of: users, enrolled: enrolled)
    }
  }

  private func users(_ names: String...) -> [UnenrolledUser] { names.map { UnenrolledUser(name: $0, hasKey: false) } }

  private let stacks = [
    "sshd": stack(""), "login": stack("nullok"), "sudo": stack(""), "twofactor": "auth required pam_unix.so\n",
    "common-auth": stack(""), "sshd.dpkg-old": stack(""),
  ]

  @Test func accountsThatServicesRefuseAreCountedAndNamed() throws {
    let many = users("a", "b", "c", "d", "e", "f", "g")
    let finding = try #require(try findings(stacks, many).first)
    #expect(finding.summary == "not_enrolled warning")
    #expect(
      finding.detail
        == "7 accounts that may log in are not enrolled and are refused by: sshd, sudo (a, b, c, d, e, …)")
    #expect(finding.remedy?.hasPrefix("twofactor enable --user a\ntwofactor enable --user b\n") == true)
    #expect(try findings(stacks, []) == [])
    #expect(try findings(["login": stack("nullok")], many) == [])
  }

  @Test func rootIsNamedByItself() throws {
    var stacks = stacks
    stacks["login"] = stack("")
    let all = try findings(stacks, users("root", "alice"))
    #expect(
      all.map(\.detail) == [
        "root is not enrolled and is refused by: login",
        "alice is not enrolled and is refused by: login, sshd, sudo",
      ])
    stacks["../ssh/sshd_config"] = "PermitRootLogin yes\n"
    #expect(
      try findings(stacks, users("root")).map(\.detail) == ["root is not enrolled and is refused by: login, sshd"])
    #expect(try findings(["sudo": stack("")], users("root")) == [])
  }

  @Test func accountsWithoutAPasswordCountOnlyBehindAKey() throws {
    let all = users("root", "alice", "bob", "carl")
    #expect(
      try findings(stacks, all, shadow: shadow).map(\.detail)
        == ["alice is not enrolled and is refused by: sshd, sudo; 3 more without a password were left out"])
    let key = [UnenrolledUser(name: "bob", hasKey: true)]
    #expect(try findings(stacks, key, shadow: shadow) == [])
    let behindKey = ["sshd": "auth required pam_twofactor.so require_method=publickey\n", "login": stack("")]
    #expect(
      try findings(behindKey, key, shadow: shadow).map(\.detail) == ["bob is not enrolled and is refused by: sshd"])
  }
}

@Suite struct OrphanCheckTests {
  private func finding(
    _ template: String, _ files: [String], missing: [String] = [], accounts: [String] = ["alice"]
  ) throws
    -> Finding?
  {
    let host = try TemporaryHost(Dictionary(uniqueKeysWithValues: files.map { ($0, "x") }))
    return host.read { tree in
      OrphanCheck(tree: tree, template: template)
        .finding(missing: missing, isAccount: accounts.contains, isUserID: { $0.rawValue == 4201 })
    }
  }

  @Test func anEnrollmentOfNoAccountIsFound() throws {
    let files = [
      "/var/lib/twofactor/alice/credential", "/var/lib/twofactor/anna/credential", "/var/lib/twofactor/enrolled/4201",
    ]
    let finding = try #require(try finding("/var/lib/twofactor/%u", files, missing: ["alice"]))
    #expect(finding.summary == "enrollment warning")
    #expect(finding.detail.hasPrefix("/var/lib/twofactor/anna is an enrollment of anna, and there is no such account"))
    #expect(
      finding.remedy == "if the account was renamed: mv -T /var/lib/twofactor/anna /var/lib/twofactor/alice\n"
        + "if the account was deleted: rm -r /var/lib/twofactor/anna")
    #expect(try self.finding("/var/lib/twofactor/%u", files, accounts: ["alice", "anna"]) == nil)
    #expect(try self.finding("~/.twofactor", files) == nil)
  }

  @Test func anEnrollmentOfNoUserIDIsFound() throws {
    let files = ["4201", "4202", "alice"].map { "/var/lib/radius/\($0)/credential" }
    let finding = try #require(try finding("/var/lib/radius/%U", files))
    #expect(finding.detail.hasPrefix("/var/lib/radius/4202 is an enrollment of the user ID 4202, which no account has"))
    #expect(finding.remedy == "rm -r /var/lib/radius/4202")
  }

  @Test func everyTemplateIsParsed() throws {
    let found = { (template: String, file: String) in try finding(template, [file])?.detail.prefix { $0 != " " } }
    #expect(try found("/srv/u-%u.d/codes", "/srv/u-anna.d/codes/credential") == "/srv/u-anna.d")
    #expect(try found("/srv/100%%/%u", "/srv/100%/anna/credential") == "/srv/100%/anna")
    #expect(try found("/%u", "/anna/credential") == "/anna")
  }
}

@Suite struct NameSourcesTests {
  @Test func sourcesThatDoNotEnumerateAreNamed() throws {
    let host = try TemporaryHost([
      "/etc/nsswitch.conf": "passwd: files sss [NOTFOUND=return] systemd\n",
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    ])
    #expect(host.read { NameSources(tree: $0).silentSources(among: ["root"]) } == ["sss"])
    #expect(host.read { NameSources(tree: $0).silentSources(among: ["root", "dora"]) } == [])
    #expect(
      try TemporaryHost(["/etc/nsswitch.conf": "passwd: files\n"]).read {
        NameSources(tree: $0).silentSources(among: [])
      } == [])
  }
}
