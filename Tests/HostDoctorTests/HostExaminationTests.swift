import Testing

@testable import HostDoctor

@Suite struct HostExaminationTests {
  private static let host = [
    "/etc/pam.d/sshd": "@include common-auth\nauth required pam_twofactor.so nullok\n",
    "/etc/pam.d/common-auth":
      "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
    "/etc/pam.d/twofactor": "auth required pam_unix.so\n",
    "/etc/ssh/sshd_config": "UsePAM yes\nPasswordAuthentication no\n",
  ]

  private func findings(_ changes: [String: String] = [:]) throws -> [Finding] {
    let host = try TemporaryHost(Self.host.merging(changes) { $1 })
    try host.makeRegister()
    return host.read { HostExamination(tree: $0, account: nil).findings }
  }

  @Test func aCorrectHostHasNoProblems() throws {
    let findings = try findings()
    #expect(findings.filter { $0.status == .warning || $0.status == .failed } == [])
    #expect(findings.contains(.ok("pam_stacks", "asks for a code after the password: sshd")))
    #expect(findings.contains { $0.summary == "ssh_keyboard_interactive ok" })
  }

  @Test func anIncludedFileIsNotAService() throws {
    let findings = try findings([
      "/etc/pam.d/sshd": "@include common-auth\n",
      "/etc/pam.d/common-auth": "auth requisite pam_unix.so\nauth required pam_twofactor.so\n",
    ])
    #expect(findings.contains(.ok("pam_stacks", "asks for a code after the password: sshd")))
  }

  @Test func aHostWithoutAStackIsWarnedAbout() throws {
    let findings = try findings(["/etc/pam.d/sshd": "@include common-auth\n"])
    #expect(
      findings.contains { $0.summary == "pam_stacks warning" && $0.detail.contains("no login is asked for a code") })
    #expect(findings.contains { $0.summary == "ssh skipped" })
    let remedy = "in /etc/pam.d/sshd, behind line 1: auth required pam_twofactor.so nullok"
    #expect(findings.contains { $0.name == "pam_stacks" && $0.remedy == remedy })
  }

  @Test func aProblemOfAnIncludedFileIsReportedOnce() throws {
    let common = "auth requisite pam_unix.so\nauth sufficient pam_twofactor.so\n"
    let findings = try findings([
      "/etc/pam.d/common-auth": common, "/etc/pam.d/sshd": "@include common-auth\n",
      "/etc/pam.d/login": "@include common-auth\n",
    ])
    #expect(findings.filter { $0.status == .failed }.map(\.summary) == ["pam_control failed"])
  }
}
