import Testing

@testable import HostDoctor

@Suite struct PAMFileTests {
  private func rules(_ text: String) -> [PAMRule] {
    PAMFile(path: "/etc/pam.d/x", text: text).statements.compactMap {
      guard case .rule(let rule) = $0 else { return nil }
      return rule
    }
  }

  @Test func aRuleHasFacilityControlModuleAndArguments() throws {
    let rule = try #require(rules("\n-AUTH\trequired /lib/security/pam_x.so  one two=2 # comment\n").first)
    #expect(rule.facility == "auth" && rule.control.text == "required" && rule.line == 2)
    #expect(rule.module == "/lib/security/pam_x.so" && rule.name == "pam_x" && rule.arguments == ["one", "two=2"])
    #expect(rule.place == "/etc/pam.d/x, line 2")
  }

  @Test func aBackslashContinuesTheLine() throws {
    let rule = try #require(rules("# \\\nauth required \\\n  pam_x.so \\\n  one\nauth optional pam_y.so").first)
    #expect(rule.line == 2 && rule.arguments == ["one"])
    #expect(rules("auth required pam_x.so \\").count == 1)
    // A comment ends with its own line.
    #expect(rules("auth required pam_x.so # \\\nauth required pam_y.so").count == 2)
  }

  @Test func bracketsProtectBlanks() throws {
    let rule = try #require(rules(#"auth [success=1 default=ignore] pam_x.so [prompt=a \] b] [x]"#).first)
    #expect(rule.control.text == "[success=1 default=ignore]")
    #expect(rule.arguments == ["prompt=a ] b", "x"])
  }

  @Test func includesAreNotRules() {
    let file = PAMFile(path: "f", text: "auth include a\nauth substack b\n@include c\n")
    #expect(
      file.statements == [
        .include(facility: "auth", file: "a", isSubstack: false, line: 1),
        .include(facility: "auth", file: "b", isSubstack: true, line: 2), .includeAll(file: "c", line: 3),
      ])
  }

  @Test(arguments: [
    "auth requird pam_x.so", "auth required", "authority required pam_x.so", "@include", "auth [success] pam_x.so",
    "auth [success=0] pam_x.so", "auth [success=maybe] pam_x.so",
  ])
  func aLineThatLibpamRejectsIsInvalid(text: String) {
    #expect(PAMFile(path: "f", text: text).statements == [.invalid(line: 1, text: text)])
  }

  @Test func controlsHaveTheActionsOfTheManual() throws {
    let requisite = try #require(PAMControl("requisite"))
    #expect(requisite.action(on: "success") == .ok && requisite.action(on: "auth_err") == .die)
    let sufficient = try #require(PAMControl("Sufficient"))
    #expect(sufficient.action(on: "success") == .done && sufficient.action(on: "auth_err") == .ignore)
    let listed = try #require(PAMControl("[success=2 AUTH_ERR=die default=bad]"))
    #expect(listed.action(on: "success") == .jump(2) && listed.action(on: "auth_err") == .die)
    #expect(listed.action(on: "ignore") == .bad)
    #expect(try #require(PAMControl("[success=ok]")).action(on: "auth_err") == .bad)
  }

  @Test func aRuleIsWrittenAsItIsParsed() throws {
    let text = "auth [success=1 default=ignore] pam_x.so one [prompt=a b]"
    let rule = try #require(rules(text).first)
    #expect(rule.text() == text)
    #expect(rule.with(control: "required").text == "in /etc/pam.d/x, line 1: auth required pam_x.so one [prompt=a b]")
    #expect(rule.removal.text == "in /etc/pam.d/x, remove line 1: \(text)")
  }
}

@Suite struct PAMConfigurationTests {
  @Test func includedRulesAreInTheOrderOfTheStack() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/sshd": "auth required pam_a.so\n@include common\nauth substack inner\naccount required pam_z.so\n",
      "/etc/pam.d/common": "auth required pam_b.so\naccount required pam_twofactor.so\n",
      "/usr/lib/pam.d/inner": "auth required pam_c.so\nauth include /etc/pam.d/common\n",
    ])
    let stack = try host.stack("sshd")
    #expect(stack.rules.map(\.name) == ["pam_a", "pam_b", "pam_c", "pam_b"])
    #expect(stack.steps.count == 3 && stack.problems.isEmpty)
    #expect(stack.misplaced.map(\.place) == ["/etc/pam.d/common, line 2"])
    let origin = stack.origins["/usr/lib/pam.d/inner"]
    #expect(origin == PAMStack.Origin(file: "/etc/pam.d/sshd", line: 3, target: "inner", isSubstack: true))
    #expect(host.read { PAMConfiguration(tree: $0).included(by: "sshd") } == ["common", "inner", "/etc/pam.d/common"])
  }

  @Test func aFileInEtcOverridesTheVendors() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/su": "auth required pam_a.so\n", "/usr/lib/pam.d/su": "auth required pam_b.so\n",
      "/etc/pam.d/su~": "", "/etc/pam.d/su.dpkg-old": "", "/etc/pam.d/.su.swp": "", "/usr/lib/pam.d/login": "",
    ])
    #expect(try host.stack("su").rules.map(\.name) == ["pam_a"])
    #expect(host.read { PAMConfiguration(tree: $0).names } == ["login", "su"])
    #expect(host.read { PAMConfiguration(tree: $0).stack(of: "none") } == nil)
  }

  @Test func loopsAndMissingFilesAreProblems() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/a": "auth include b\n", "/etc/pam.d/b": "auth include a\nauth include none\nsession include gone\n",
      "/etc/pam.d/c": "auth wrong pam_x.so\n",
    ])
    let words = try host.stack("a").problems.map(\.words)
    #expect(words.contains("/etc/pam.d/b, line 2, includes a file that does not exist: none"))
    #expect(words.contains { $0.hasSuffix("includes itself: b") || $0.hasSuffix("includes itself: a") })
    #expect(try host.stack("c").problems.map(\.words) == ["/etc/pam.d/c, line 1, is invalid: auth wrong pam_x.so"])
  }
}
