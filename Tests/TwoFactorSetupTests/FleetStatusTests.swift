import HostAccess
import HostDoctor
import Testing

@testable import TwoFactorSetup

private let now: Int64 = 1_800_000_000

@Suite struct FleetStatusTests {
  private let report = FleetReport(
    """
    group web
    role web01
    replicated yes
    key 11111111
    key 22222222 waits
    certificate \(now + 86_400 * 9)
    server db1.example.org
    connect 7912
    query 412
    clock -3400
    version 15.14
    recovery no
    server_certificate \(now - 1)
    authority \(now + 86_400 * 3000)
    setting fsync on
    setting synchronous_commit on
    setting synchronous_standby_names ANY 1 (db1, db2, db3)
    may group
    may login
    standbys 1
    standby db2 quorum streaming 10 -
    rows 2
    rows_of 11111111 12
    rows_of 33333333 1
    server db2.example.org
    problem Connection refused
    """)

  private func status(_ findings: Finding...) -> FleetStatus { FleetStatus(report, findings: findings, now: now) }

  private let failure = Finding.failed("postgresql_servers", "no server is a primary", remedy: "start one")

  @Test func theTextFits80Columns() {
    let text = status(failure).text(on: Terminal(json: false))
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
    #expect(text.hasPrefix("Group web, as web01, with standbys: logins are refused.\n"))
    #expect(
      text.contains(
        """
        SERVER           ROLE     CONNECT  QUERY   CLOCK   VERSION  CERTIFICATE
        db1.example.org  primary  7.9 ms   0.4 ms  -3.4 s  15.14    expired
        db2.example.org  Connection refused
        """))
    #expect(text.contains("db2      quorum       streaming  10 bytes  none\n"))
    #expect(text.contains("This host may: log users in\n"))
    #expect(text.contains("Sealing keys:  11111111 seals, 22222222 waits\n"))
    #expect(text.contains("Enrollments:   13, of these sealed 1 with 33333333\n"))
    #expect(text.contains("failed   postgresql_servers: no server is a primary\n           start one\n"))
  }

  @Test func onlyFailuresRefuseLogins() {
    #expect(status(.warning("clock", "differs", remedy: "correct it"), .ok("x", "y")).acceptsLogins)
    #expect(!status(failure).acceptsLogins)
  }

  @Test func jsonHasTheSameKeysWithoutAServer() {
    let text = FleetStatus(FleetReport("group web"), findings: [failure], now: now).json.text
    #expect(
      text.hasPrefix(#"{"accepts_logins": false, "group": "web", "role": "", "replicated": false, "servers": [], "#))
    #expect(text.contains(#""enrollments": null, "sealed_otherwise": null"#))
    #expect(status().json.text.contains(#""clock_ahead_milliseconds": -3400"#))
  }

  @Test(arguments: [["--add-key", "--drop-old-keys"], ["--add-key=x"], ["x"]])
  func invalidOptionsOfRekeyAreUsageErrors(words: [String]) {
    let error = #expect(throws: (any Error).self) { try FleetRekeyCommand.parse(words) }
    if let error { #expect(FleetRekeyCommand.exitCode(for: error).rawValue == 64) }
  }
}
