import Testing

@testable import TwoFactorSetup

@Suite struct LocalPasswordTests {
  private func state(_ report: String, acceptsEmpty: Bool = false) -> LocalPassword {
    LocalPassword(report: report, of: "alice", acceptsEmpty: acceptsEmpty)
  }

  @Test func theReportOfPasswdIsParsed() {
    // Debian's passwd, and Fedora's.
    #expect(state("alice P 2026-11-27 0 99999 7 -1\n") == .usable)
    #expect(state("alice PS 2026-11-27 0 99999 7 -1 (Password set, SHA512 crypt.)\n") == .usable)
    #expect(state("alice L 2026-11-27 0 99999 7 -1\n").problem == "has a locked password")
    #expect(state("alice LK 2026-11-27 0 99999 7 -1 (Password locked.)\n").problem == "has a locked password")
    #expect(state("alice NP 2026-11-27 0 99999 7 -1\n").problem == "has an empty password")
    #expect(state("alice NP 2026-11-27 0 99999 7 -1\n", acceptsEmpty: true) == .usable)
  }

  @Test(arguments: ["", "alice", "bob L 2026-11-27", "passwd: Permission denied.\n", "Usage: passwd [options]"])
  func anythingElseProvesNothing(report: String) {
    #expect(state(report) == .unknown)
  }
}
