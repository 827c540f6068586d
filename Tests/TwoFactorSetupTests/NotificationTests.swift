import HostAccess
import Testing

@testable import TwoFactorSetup

@Suite struct NotificationTests {
  @Test func theMailNamesChangeHostAndAuthor() {
    let notification = Notification(
      event: .deviceAdded("x\nBcc: everyone"), user: "alice", host: "server", isByRoot: true,
      moment: Timestamp(seconds: 0))
    #expect(
      notification.message == """
        To: alice
        Subject: Two-factor login at server: device added: x\\u{a}Bcc: everyone
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8

        Account: alice
        Host: server
        Change: device added: x\\u{a}Bcc: everyone
        Made by: root
        Time: 1970-01-01 00:00 UTC

        If this was not you, tell the administrator of server at once.

        """)
  }

  @Test(
    arguments: [
      ("/bin/true", nil), ("/bin/false", "/bin/false: exit status 1"),
      ("/nowhere", "/nowhere: no such file or directory"),
    ]
      as [(String, String?)])
  func aFailedProgramIsReported(program: String, problem: String?) {
    do {
      try Mailer(program: program).send("x", to: "alice")
      #expect(problem == nil)
    } catch {
      #expect((error as? SetupError)?.message == problem)
    }
  }
}
