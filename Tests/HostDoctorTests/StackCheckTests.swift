import Testing

@testable import HostDoctor

@Suite struct StackCheckTests {
  static let ours = "auth required pam_twofactor.so"
  static let unix = """
    auth [success=1 default=ignore] pam_unix.so
    auth requisite pam_deny.so
    auth required pam_permit.so

    """

  private func findings(_ files: [String: String]) throws -> [Finding] {
    let host = try TemporaryHost(files.merging(["/etc/debian_version": "12\n"]) { $1 })
    return host.read { tree in
      let found = HostFindings(tree: tree, account: nil)
      return found.ofStacks.filter { !$0.finding.isReportedElsewhere }
        .map { RemedySearch(before: found).finding($0.finding, $0.services) }
    }
  }

  private func findings(_ stack: String, service: String = "x") throws -> [Finding] {
    try findings(["/etc/pam.d/\(service)": stack])
  }

  @Test(arguments: [
    unix + ours, unix + ours + " nullok", "auth requisite pam_unix.so\n" + ours,
    unix + "auth [success=ok ignore=ignore default=die] pam_twofactor.so nullok",
    "auth required pam_env.so\n" + unix + ours + "\nauth optional pam_cap.so", "auth required pam_permit.so",
    "auth required pam_twofactor.so forward_pass nullok\nauth required pam_unix.so use_first_pass",
    "auth required pam_twofactor.so forward_pass=yes\n" + unix,
    // Refuses everyone on purpose.
    "auth required pam_deny.so\n" + unix + ours,
  ])
  func aCorrectStackHasNoFindings(stack: String) throws {
    #expect(try findings(stack) == [])
  }

  @Test(
    arguments: [
      (unix + "auth sufficient pam_twofactor.so", "pam_control failed", "in /etc/pam.d/x, line 4: \(ours)"),
      (unix + "auth [success=ok module_unknown=ignore default=bad] pam_twofactor.so", "pam_control failed", ours),
      (ours + "\n" + unix, "pam_order failed", "in /etc/pam.d/x, behind line 4: \(ours)"),
      (ours, "pam_code_alone failed", "in /etc/pam.d/x, before line 1: auth requisite pam_unix.so"),
      (
        "auth sufficient pam_unix.so\n\(ours)\nauth required pam_deny.so", "pam_bypass failed",
        "[success=1 default=ignore]"
      ),
      (unix + "\(ours)\n\(ours)", "pam_twice failed", "in /etc/pam.d/x, remove line 5: \(ours)"),
      ("auth required pam_unix.so\n" + ours, "pam_requisite warning", "line 1: auth requisite pam_unix.so"),
      (
        unix + "auth [success=1 default=ignore] pam_succeed_if.so user ingroup x\n" + ours
          + "\nauth required pam_env.so",
        "pam_condition warning", "in /etc/pam.d/x, remove line 4"
      ),
      (
        "auth sufficient pam_succeed_if.so uid = 0\n" + unix + ours, "pam_condition warning",
        "in /etc/pam.d/x, remove line 1"
      ),
      (
        unix + "auth [success=1 default=ignore] pam_succeed_if.so user = root\n" + ours, "pam_condition warning",
        "in /etc/pam.d/x, remove line 4"
      ),
      ("auth sufficient pam_u2f.so\n" + unix + ours, "pam_alternative warning", "in /etc/pam.d/x, remove line 1"),
      (
        unix + "auth [success=ok default=die] pam_twofactor.so nullok", "pam_nullok warning",
        "line 4: auth [success=ok default=die] pam_twofactor.so"
      ),
      (unix + ours + "\nauth oops pam_env.so", "pam_syntax failed", "line 5: auth required pam_env.so"),
      (unix + ours + "\nsession required pam_twofactor.so", "pam_facility failed", "in /etc/pam.d/x, remove line 5"),
      (
        "auth [success=5 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + ours, "pam_dead_end failed",
        "in /etc/pam.d/x, line 1: auth [success=1 default=ignore] pam_unix.so"
      ),
      (
        "auth [success=2 default=ignore] pam_unix.so\nauth [success=2 default=ignore] pam_sss.so\n"
          + "auth requisite pam_deny.so\n\(ours)\nauth required pam_permit.so",
        "pam_bypass failed", "in /etc/pam.d/x, line 2: auth [success=1 default=ignore] pam_sss.so"
      ),
    ])
  func aMistakeIsFoundOnceWithItsRemedy(stack: String, summary: String, remedy: String) throws {
    let findings = try findings(stack)
    #expect(findings.map(\.summary) == [summary])
    #expect(findings.first?.remedy?.contains(remedy) == true, "\(findings)")
  }

  @Test func usersOfOnePasswordModuleCanBeLockedOut() throws {
    let findings = try findings(
      """
      auth [success=2 default=ignore] pam_unix.so
      auth [success=2 default=ignore] pam_sss.so use_first_pass
      auth requisite pam_deny.so
      auth [success=1 default=die] pam_twofactor.so
      auth requisite pam_deny.so
      auth required pam_permit.so
      """)
    #expect(findings.map(\.summary) == ["pam_lockout failed"])
    #expect(findings.first?.detail.contains("users whom pam_sss accepts (/etc/pam.d/x, line 2) are refused") == true)
    #expect(
      findings.first?.remedy == "in /etc/pam.d/x, line 2: auth [success=1 default=ignore] pam_sss.so use_first_pass")
  }

  @Test func credentialsThatCannotBeSetAreFound() throws {
    let findings = try findings(Self.unix + "auth required pam_debug.so cred=cred_err\n" + Self.ours)
    #expect(findings.map(\.summary) == ["pam_setcred failed"])
  }

  @Test func aStackWithTooManyCombinationsIsNotCalledCorrect() throws {
    let unknown = (1...9).map { "auth optional pam_v\($0).so\n" }.joined()
    let findings = try findings(unknown + Self.unix + Self.ours)
    #expect(findings.map(\.summary) == ["pam_evaluation warning"])
    #expect(findings.first?.detail.contains("could not be evaluated: its modules have more than 10000") == true)
  }

  @Test func anUnknownModuleMayCheckThePassword() throws {
    let findings = try findings("auth required pam_vendor.so\n" + Self.ours)
    #expect(findings.map(\.summary) == ["pam_code_alone warning"])
    #expect(try self.findings("auth required pam_vendor.so\n" + Self.unix + Self.ours) == [])
    let first = try self.findings("auth sufficient pam_vendor.so\n" + Self.unix + Self.ours)
    #expect(first.map(\.summary) == ["pam_alternative warning"])
  }

  @Test(arguments: ["pam_exec.so quiet expose_authtok /usr/local/bin/check", "pam_script.so"])
  func aProgramMayCheckThePassword(module: String) throws {
    let found = try findings("auth required \(module)\n\(Self.ours)")
    #expect(found.map(\.summary) == ["pam_code_alone warning"])
  }

  @Test func aCarriageReturnBehindAModuleIsFound() throws {
    let found = try findings("\(Self.unix)\(Self.ours)\r\n")
    #expect(found.map(\.summary) == ["pam_syntax failed"])
    #expect(found.first?.remedy == "in /etc/pam.d/x, line 4: \(Self.ours)")
    let included = try findings([
      "/etc/pam.d/c": Self.unix + Self.ours + " nullok\n", "/etc/pam.d/x": "@include c\r\n\(Self.ours)",
    ])
    #expect(included.first { $0.name == "pam_syntax" }?.remedy?.contains("in /etc/pam.d/x, line 1: @include c") == true)
  }

  @Test func anotherCodeIsNoSecondPassword() throws {
    let findings = try findings("auth sufficient pam_google_authenticator.so\n" + Self.unix + Self.ours)
    #expect(findings.map(\.summary) == ["pam_alternative warning"])
  }

  @Test(arguments: ["use_first_pass", "use_first_pass nullok"])
  func anOptionForSingleFieldsThatRefusesEveryoneIsRemoved(options: String) throws {
    let findings = try findings(Self.unix + Self.ours + " " + options)
    #expect(findings.map(\.summary) == ["pam_dead_end failed"])
    #expect(findings.first?.remedy == "in /etc/pam.d/x, line 4: \(Self.ours)" + options.dropFirst(14))
  }

  @Test func aStackWithAnInvalidOptionIsNotCalledCorrect() throws {
    let host = try TemporaryHost([
      "/etc/debian_version": "12\n", "/etc/group": "root:x:0:\n",
      "/etc/pam.d/x": Self.unix + Self.ours + " exempt_groups=nobody-knows",
    ])
    let findings = host.read { HostExamination(tree: $0, account: nil).findings }
    #expect(findings.contains { $0.summary == "groups failed" } && !findings.contains { $0.name == "pam_stacks" })
  }

  @Test func aRemedyThatWouldWeakenLoginsIsNotPrinted() throws {
    // Without the line, the password alone would be enough; "domain" is no group.
    let host = try TemporaryHost([
      "/etc/debian_version": "12\n", "/etc/group": "root:x:0:\n",
      "/etc/pam.d/x": Self.unix + Self.ours + " only_groups=domain users",
    ])
    let findings = host.read { HostExamination(tree: $0, account: nil).findings }
    let finding = findings.first { $0.summary == "module_arguments failed" }
    #expect(finding?.remedy?.hasPrefix("look at /etc/pam.d/x, line 4") == true)
  }

  @Test func loginsWithoutAPasswordThroughSSHAreNotReportedTwice() throws {
    let sshd = ["/etc/pam.d/sshd": Self.ours, "/etc/ssh/sshd_config": "UsePAM yes\n"]
    #expect(try findings(sshd) == [])
    let key = "UsePAM yes\nAuthenticationMethods publickey,keyboard-interactive\n"
    let nullok = try findings(["/etc/pam.d/sshd": Self.ours + " nullok", "/etc/ssh/sshd_config": key])
    #expect(nullok.map(\.summary) == ["pam_nullok warning"])
  }

  @Test func aMistakeInASharedFileIsReportedOnceWithItsServices() throws {
    let findings = try findings([
      "/etc/pam.d/common-auth": Self.unix + "auth optional pam_twofactor.so", "/etc/pam.d/a": "@include common-auth",
      "/etc/pam.d/b": "@include common-auth",
    ])
    #expect(findings.map(\.summary) == ["pam_control failed"])
    #expect(findings.first?.detail.hasSuffix("(services a, b)") == true)
  }

  @Test func aServiceThatIsIncludedIsCheckedItself() throws {
    let findings = try findings([
      "/etc/pam.d/su": "auth sufficient pam_u2f.so\n" + Self.unix + Self.ours, "/etc/pam.d/su-l": "auth include su",
    ])
    #expect(findings.map(\.summary) == ["pam_alternative warning"])
    #expect(findings.first?.detail.hasSuffix("(services su, su-l)") == true)
  }

  @Test func aSubstackIsIncludedSoThatItsEndEndsTheStack() throws {
    let findings = try findings([
      "/etc/pam.d/x": "auth substack y-auth\n\(Self.ours)\n", "/etc/pam.d/y-auth": "auth required pam_unix.so\n",
    ])
    #expect(findings.map(\.summary) == ["pam_requisite warning"])
    let lines = findings.first?.remedy?.split(separator: "\n").sorted()
    #expect(
      lines == [
        "in /etc/pam.d/x, line 1: auth include y-auth", "in /etc/pam.d/y-auth, line 1: auth requisite pam_unix.so",
      ])
  }

  @Test func aContinuedLineIsReplacedAsAWhole() throws {
    let findings = try findings(
      Self.unix + "auth sufficient \\\n  pam_twofactor.so \\\n  nullok\nauth optional pam_cap.so")
    #expect(
      findings.first?.remedy
        == "in /etc/pam.d/x, remove line 6: nullok\nin /etc/pam.d/x, remove line 5: pam_twofactor.so \\\n"
        + "in /etc/pam.d/x, line 4: auth required pam_twofactor.so nullok")
  }
}

@Suite struct EditTests {
  @Test func aVendorsFileIsCopiedBeforeItIsChanged() {
    let edit = Edit.replace(file: "/usr/lib/pam.d/su", line: 3, text: "auth requisite pam_unix.so")
    let lines = "cp /usr/lib/pam.d/su /etc/pam.d/su\nin /etc/pam.d/su, line 3: auth requisite pam_unix.so"
    #expect(edit.text == lines && [edit, edit].text == lines)
  }

  @Test func theTextOfEachEditIsParsed() {
    let edits: [Edit] = [
      .replace(file: "/etc/x", line: 3, text: "auth a: b"), .insertBefore(file: "/etc/x", line: 1, text: "a"),
      .insertAfter(file: "/etc/x", line: 2, text: "b"), .remove(file: "/etc/x", line: 4, text: "c, d"),
      .append(file: "/etc/x", text: "e"), .copy(file: "/usr/x", target: "/etc/x"),
    ]
    for edit in edits { #expect(Edit(edit.text) == edit) }
    for words in ["or correct it", "in /etc/x, after the password: y", "chown root:root /x", "in /etc/x, line 0: y"] {
      #expect(Edit(words) == nil)
    }
  }

  @Test func aCarriageReturnJoinsNoLines() throws {
    let host = try TemporaryHost(["/etc/x": "1\r\n2\n3\r\n4\n"])
    host.read { tree in
      let edits: [Edit] = [
        .replace(file: "/etc/x", line: 2, text: "two"), .remove(file: "/etc/x", line: 3, text: "3"),
      ]
      #expect(tree.applying(edits)?.text(of: "/etc/x").map { Array($0.utf8) } == Array("1\r\ntwo\n4\n".utf8))
    }
  }

  @Test func lineNumbersReferToTheUnchangedFile() throws {
    let host = try TemporaryHost(["/etc/x": "1\n2\n3\n"])
    let edits: [Edit] = [
      .remove(file: "/etc/x", line: 1, text: "1"), .insertAfter(file: "/etc/x", line: 2, text: "2b"),
      .replace(file: "/etc/x", line: 3, text: "three"), .append(file: "/etc/x", text: "4"),
      .copy(file: "/etc/x", target: "/etc/y"), .insertBefore(file: "/etc/y", line: 1, text: "0"),
      .insertBefore(file: "/etc/new", line: 1, text: "new"),
    ]
    host.read { tree in
      let changed = tree.applying(edits)
      #expect(changed?.text(of: "/etc/x") == "2\n2b\nthree\n4\n")
      #expect(changed?.text(of: "/etc/y") == "0\n1\n2\n3\n")
      #expect(changed?.text(of: "/etc/new") == "new\n")
      #expect(tree.applying([.remove(file: "/etc/x", line: 1, text: "2")]) == nil)
      #expect(tree.applying([.replace(file: "/etc/x", line: 4, text: "2")]) == nil)
    }
  }
}
