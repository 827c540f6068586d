import Testing

@testable import HostDoctor

@Suite struct StackCheckTests {
  private static let ours = "auth required pam_twofactor.so"
  private static let unix = """
    auth [success=1 default=ignore] pam_unix.so
    auth requisite pam_deny.so
    auth required pam_permit.so

    """

  private func findings(_ stack: String, isPreauthenticated: Bool = false) throws -> [Finding] {
    let host = try TemporaryHost(["/etc/pam.d/x": stack])
    return StackCheck(try host.stack("x"), isPreauthenticated: isPreauthenticated).findings
  }

  @Test(arguments: [
    unix + ours, unix + ours + " nullok", "auth requisite pam_unix.so\n" + ours,
    unix + "auth [success=ok ignore=ignore default=die] pam_twofactor.so nullok",
    "auth required pam_env.so\n" + unix + ours + "\nauth optional pam_cap.so", "auth required pam_permit.so",
    "auth required pam_twofactor.so forward_pass nullok\nauth required pam_unix.so use_first_pass",
    "auth required pam_twofactor.so forward_pass=yes\n" + unix,
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
        unix + "auth [success=1 default=ignore] pam_succeed_if.so user ingroup x\n" + ours, "pam_condition warning",
        "in /etc/pam.d/x, remove line 4"
      ),
      ("auth sufficient pam_u2f.so\n" + unix + ours, "pam_alternative warning", "in /etc/pam.d/x, remove line 1"),
      (unix + "auth [success=ok default=die] pam_twofactor.so nullok", "pam_nullok warning", ours + " nullok"),
      (unix + ours + "\nauth oops pam_x.so", "pam_syntax failed", "in /etc/pam.d/x, remove line 5"),
      (unix + ours + "\naccount required pam_twofactor.so", "pam_facility failed", "in /etc/pam.d/x, remove line 5"),
      (
        "auth [success=5 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + ours, "pam_dead_end failed",
        "in /etc/pam.d/x, line 1: auth [success=1 default=ignore] pam_unix.so"
      ),
    ])
  func aMistakeIsFoundOnceWithItsRemedy(stack: String, summary: String, remedy: String) throws {
    let findings = try findings(stack)
    #expect(findings.map(\.summary) == [summary])
    #expect(findings.first?.remedy?.contains(remedy) == true, "\(findings)")
  }

  @Test func aPublicKeyBeforePAMReplacesThePassword() throws {
    #expect(try findings(Self.ours, isPreauthenticated: true) == [])
    let nullok = try findings(Self.ours + " nullok", isPreauthenticated: true)
    #expect(nullok.map(\.summary) == ["pam_nullok warning"])
  }

  @Test func aTrialFollowsJumpsAndSubstacks() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/x":
        "auth [success=1 default=bad] pam_a.so\nauth required pam_deny.so\nauth substack y\n\(Self.ours)\n",
      "/etc/pam.d/y": "auth sufficient pam_b.so\nauth required pam_deny.so\n",
    ])
    let stack = try host.stack("x")
    let right = PAMTrial(stack) { $0.name == "pam_deny" ? "auth_err" : "success" }
    #expect(right.passes && right.called.map(\.name) == ["pam_a", "pam_b", "pam_twofactor"])
    let refused = PAMTrial(stack) { ["pam_deny", "pam_b"].contains($0.name) ? "auth_err" : "success" }
    #expect(!refused.passes && refused.called.map(\.name) == ["pam_a", "pam_b", "pam_deny", "pam_twofactor"])
    // libpam refuses a jump beyond the end, and a stack in which no module returned success.
    let beyond = try TemporaryHost(["/etc/pam.d/x": "auth [success=1 default=ignore] pam_a.so\n"]).stack("x")
    #expect(!PAMTrial(beyond) { _ in "success" }.passes && !PAMTrial(beyond) { _ in "ignore" }.passes)
  }

  @Test func aSubstackIsIncludedSoThatItsEndEndsTheStack() throws {
    let host = try TemporaryHost([
      "/etc/pam.d/x": "auth substack y\n\(Self.ours)\n", "/etc/pam.d/y": "auth required pam_unix.so\n",
    ])
    let stack = try host.stack("x")
    let edits = StackRepair(stack: stack).requisite(stack.rules[0])
    #expect(
      edits == [
        .replace(file: "/etc/pam.d/y", line: 1, text: "auth requisite pam_unix.so"),
        .replace(file: "/etc/pam.d/x", line: 1, text: "auth include y"),
      ])
  }

  @Test func aRuleMovesBehindTheIncludedPassword() throws {
    let host = try TemporaryHost(["/etc/pam.d/x": "\(Self.ours)\n@include y\n", "/etc/pam.d/y": Self.unix])
    let stack = try host.stack("x")
    #expect(
      StackRepair(stack: stack).moved(stack.twoFactorRules[0]) == [
        .remove(file: "/etc/pam.d/x", line: 1, text: Self.ours),
        .insertAfter(file: "/etc/pam.d/x", line: 2, text: Self.ours),
      ])
  }

  @Test func aVendorsFileIsCopiedBeforeItIsChanged() {
    let edit = Edit.replace(file: "/usr/lib/pam.d/su", line: 3, text: "auth requisite pam_unix.so")
    let lines = "cp /usr/lib/pam.d/su /etc/pam.d/su\nin /etc/pam.d/su, line 3: auth requisite pam_unix.so"
    #expect(edit.text == lines && [edit, edit].text == lines)
  }
}
