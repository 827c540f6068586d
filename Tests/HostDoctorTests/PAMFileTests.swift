import Testing

@testable import HostDoctor

@Suite struct PAMFileTests {
  private func file(_ text: String) -> PAMFile { PAMFile(path: "/etc/pam.d/x", bytes: Array(text.utf8)) }

  private func rules(_ text: String) -> [PAMRule] {
    file(text).statements.compactMap {
      guard case .rule(let rule) = $0.body else { return nil }
      return rule
    }
  }

  private func control(_ text: String) throws -> PAMControl {
    try #require(rules("auth \(text) pam_x.so").first).control
  }

  @Test func aRuleHasFacilityControlModuleAndArguments() throws {
    let rule = try #require(rules("\n-AUTH\trequired /lib/security/pam_x.so  one two=2 # comment\n").first)
    #expect(rule.facility == .auth && rule.isSilent && rule.control.text == "required" && rule.line == 2)
    #expect(rule.module == "/lib/security/pam_x.so" && rule.name == "pam_x" && rule.arguments == ["one", "two=2"])
    #expect(rule.place == "/etc/pam.d/x, line 2")
  }

  @Test func aBackslashContinuesTheLine() throws {
    let rule = try #require(rules("# \\\nauth required \\\n  pam_x.so \\\n  one\nauth optional pam_y.so").first)
    #expect(rule.line == 2 && rule.arguments == ["one"])
    // A comment ends with its own line.
    #expect(rules("auth required pam_x.so # \\\nauth required pam_y.so").count == 2)
    let unfinished = file("auth required pam_x.so\nauth required pam_y.so \\")
    #expect(unfinished.statements.count == 1 && unfinished.unfinishedLine == 2)
  }

  @Test func bracketsProtectBlanks() throws {
    let rule = try #require(rules(#"auth [success=1 default=ignore]pam_x.so [prompt=a \] b] [x]"#).first)
    #expect(rule.control.text == "[success=1 default=ignore]")
    #expect(rule.arguments == ["prompt=a ] b", "x"])
  }

  @Test func aCarriageReturnBelongsToTheWord() throws {
    #expect(rules("auth required pam_x.so\r\n").first?.module == "pam_x.so\r")
  }

  @Test func aLineThatReleasesOfLibpamReadDifferentlyIsAmbiguous() {
    #expect(file("auth required \\\n# comment\n pam_x.so\n").ambiguity?.line == 2)
    #expect(file("#" + String(repeating: "a", count: 1_022)).ambiguity?.line == 1)
    #expect(file("auth required \\\n pam_x.so\n\n").ambiguity == nil)
  }

  @Test func includesAreNotRules() throws {
    let statements = file("auth include a\nauth substack b\n@include c\n@include\n").statements
    #expect(statements.map(\.line) == [1, 2, 3, 4])
    guard case .include("a", false) = statements[0].body, case .include("b", true) = statements[1].body,
      case .includeAll("c") = statements[2].body, case .includeAll(nil) = statements[3].body
    else {
      Issue.record("\(statements)")
      return
    }
  }

  @Test(arguments: [
    "auth requird pam_x.so", "auth required", "authority required pam_x.so", "auth", "auth [success] pam_x.so",
    "auth [success=0] pam_x.so", "auth [success=maybe] pam_x.so", "auth [SUCCESS=ok] pam_x.so", "[] required pam_x.so",
  ])
  func aLineThatLibpamRejectsHasAFlaw(text: String) {
    let statements = file(text).statements
    #expect(statements.count == 1 && statements.first?.flaw != nil && statements.first?.text == text)
  }

  @Test func controlsHaveTheActionsOfTheManual() throws {
    let requisite = try control("requisite")
    #expect(requisite.action(on: .success) == .ok && requisite.action(on: .authenticationError) == .die)
    let sufficient = try control("Sufficient")
    #expect(sufficient.action(on: .success) == .done && sufficient.action(on: .authenticationError) == .ignore)
    let listed = try control("[success=2 auth_err=die default=bad ignore = ignore]")
    #expect(listed.action(on: .success) == .jump(2) && listed.action(on: .authenticationError) == .die)
    #expect(listed.action(on: .ignore) == .ignore && listed.action(on: .abort) == .bad)
    #expect(try control("[success=ok]").action(on: .authenticationError) == .bad)
    // A default applies to the values that have no action yet; a later action replaces it.
    #expect(try control("[success=die default=ok success=2]").action(on: .success) == .jump(2))
    #expect(try control("[success=okdefault=ignore]").action(on: .abort) == .ignore)
    #expect(try control("success=ok").action(on: .success) == .ok)
    // A flaw makes every value bad.
    #expect(try control("[success=ok default=wrong]").action(on: .success) == .bad)
  }

  @Test func aRuleIsWrittenAsItIsParsed() throws {
    for text in [
      "auth [success=1 default=ignore] pam_x.so one [prompt=a b]", #"-auth required pam_x.so [a\]b]"#,
      "auth success=1 pam_x.so",
    ] {
      #expect(try #require(rules(text).first).text() == text)
    }
  }
}

@Suite struct PAMConfigurationTests {
  private func names(_ host: TemporaryHost, _ service: String) -> [String] {
    host.read { PAMConfiguration(tree: $0).stacks(of: service).chain(.auth).rules.map(\.name) }
  }

  @Test func includedRulesAreInTheOrderOfTheStack() throws {
    let host = try TemporaryHost([
      "/etc/debian_version": "12.0\n",
      "/etc/pam.d/sshd": "auth required pam_a.so\n@include common\nauth substack inner\naccount required pam_z.so\n",
      "/etc/pam.d/common": "auth required pam_b.so\naccount required pam_twofactor.so\n",
      "/etc/pam.d/inner": "auth required pam_c.so\nauth include /etc/pam.d/common\n",
    ])
    #expect(names(host, "sshd") == ["pam_a", "pam_b", "pam_c", "pam_b"])
    let stacks = host.read { PAMConfiguration(tree: $0).stacks(of: "sshd") }
    #expect(stacks.chain(.auth).handlers.map(\.level) == [0, 0, 0, 1, 1])
    #expect(stacks.chain(.account).rules.map(\.place) == ["/etc/pam.d/common, line 2", "/etc/pam.d/sshd, line 4"])
    #expect(stacks.origins["/etc/pam.d/inner"]?.line == 3 && stacks.origins["/etc/pam.d/inner"]?.isSubstack == true)
    #expect(stacks.problems.isEmpty)
  }

  @Test func debianIncludesOnlyFromEtc() throws {
    let files = ["/etc/pam.d/su": "auth include inner\n", "/usr/lib/pam.d/inner": "auth required pam_c.so\n"]
    #expect(names(try TemporaryHost(files.merging(["/etc/os-release": "ID=fedora\n"]) { $1 }), "su") == ["pam_c"])
    #expect(names(try TemporaryHost(files.merging(["/etc/os-release": "ID_LIKE=debian\n"]) { $1 }), "su") == [])
  }

  @Test func aFileInEtcOverridesTheVendors() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/su": "auth required pam_a.so\n", "/usr/lib/pam.d/su": "auth required pam_b.so\n",
      "/usr/lib/pam.d/login": "", "/etc/pam.d/README": "", "/etc/pam.d/folder/x": "",
    ])
    #expect(names(host, "su") == ["pam_a"])
    // libpam converts names to lower case.
    #expect(host.read { PAMConfiguration(tree: $0).services } == ["login", "other", "su"])
  }

  @Test func otherAppliesToServicesWithoutAuthRules() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/other": "auth required pam_o.so\n", "/etc/pam.d/cron": "account required pam_a.so\n",
    ])
    for service in ["cron", "unknown", "other"] { #expect(names(host, service) == ["pam_o"]) }
  }

  @Test func pamConfIsReadWithoutTheFolders() throws {
    let host = try TemporaryHost([
      "/etc/pam.conf": "SSHD auth required pam_a.so\nother auth required pam_o.so\nsshd auth\n"
    ])
    #expect(names(host, "sshd") == ["pam_a"] && names(host, "su") == ["pam_o"])
    #expect(host.read { PAMConfiguration(tree: $0).services } == ["other", "sshd"])
  }

  @Test func aFileThatIncludesItselfFails() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/a": "auth include b\n", "/etc/pam.d/b": "auth include a\nauth include none\nsession include gone\n",
    ])
    let problems = host.read { PAMConfiguration(tree: $0).stacks(of: "a").problems }
    #expect(problems.contains { $0.file == "/etc/pam.d/b" && $0.words == "includes a file that does not exist: none" })
    #expect(problems.contains { $0.words.hasSuffix("too deeply") })
  }

  @Test func aMissingIncludeForAllFacilitiesAbortsTheService() throws {
    let host = try TemporaryHost(["/etc/debian_version": "", "/etc/pam.d/a": "auth required pam_a.so\n@include none\n"])
    let stacks = host.read { PAMConfiguration(tree: $0).stacks(of: "a") }
    #expect(stacks.isAborted && stacks.problems.map(\.line) == [2])
  }
}
