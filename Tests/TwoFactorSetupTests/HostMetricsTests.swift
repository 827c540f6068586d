import HostDoctor
import Testing

@testable import TwoFactorSetup

@Suite struct HostMetricsTests {
  private static let users = [
    UserCondition(standing: .enrolled),
    UserCondition(standing: .enrolled, isThrottled: true, hasFewBackupCodes: true),
    UserCondition(standing: .enrolled, isThrottled: true, isLocked: true),
    UserCondition(standing: .notEnrolled),
    UserCondition(standing: .missing),
    UserCondition(),
  ]

  private static func lines(
    users: [UserCondition]? = users, accounts: Int = 6, findings: [Finding] = []
  ) -> [String] {
    HostMetrics(users: users, accounts: accounts, findings: findings, now: 1_700_000_000).text
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  @Test func accountsAreCountedByState() {
    let lines = Self.lines()
    for line in [
      "twofactor_build_info{version=\"\(Version.current)\"} 1", "twofactor_accounts{state=\"enrolled\"} 3",
      "twofactor_accounts{state=\"not_enrolled\"} 1", "twofactor_accounts{state=\"missing\"} 1",
      "twofactor_accounts{state=\"unknown\"} 1", "twofactor_throttled_accounts 2", "twofactor_locked_accounts 1",
      "twofactor_low_backup_codes_accounts 1", "twofactor_metrics_timestamp_seconds 1700000000",
    ] {
      #expect(lines.contains(line), "\(line)")
    }
  }

  @Test func accountsThatCannotBeListedAreUnknown() {
    let lines = Self.lines(users: nil, accounts: 7)
    #expect(lines.contains("twofactor_accounts{state=\"unknown\"} 7"))
    #expect(lines.contains("twofactor_accounts{state=\"enrolled\"} 0"))
  }

  @Test func findingsAreCountedByCheckAndStatus() {
    let lines = Self.lines(findings: [
      .ok("clock", "x"), .warning("backup_codes", "alice has 1", remedy: "x"),
      .warning("backup_codes", "bob has 2", remedy: "x"), .failed("pam_order", "x", remedy: "x"),
    ])
    for line in [
      "twofactor_doctor_findings{check=\"backup_codes\",status=\"warning\"} 2",
      "twofactor_doctor_findings{check=\"backup_codes\",status=\"failed\"} 0",
      "twofactor_doctor_findings{check=\"clock\",status=\"ok\"} 1",
      "twofactor_doctor_findings{check=\"pam_order\",status=\"failed\"} 1", "twofactor_doctor_exit_status 78",
    ] {
      #expect(lines.contains(line), "\(line)")
    }
    #expect(!lines.contains { $0.contains("alice") || $0.contains("bob") })
    #expect(Self.lines().contains("twofactor_doctor_exit_status 0"))
  }

  /// The rules of the text exposition format, version 0.0.4.
  @Test func theTextIsInTheFormatOfPrometheus() {
    let odd = "a\\b\"c\nd"
    let lines = Self.lines(findings: [.ok(odd, "x")])
    #expect(lines.contains(#"twofactor_doctor_findings{check="a\\b\"c\nd",status="ok"} 1"#))
    #expect(lines.last == "")
    var (helped, typed): (Set<Substring>, Set<Substring>) = ([], [])
    for line in lines.dropLast() {
      let words = line.split(separator: " ")
      if line.hasPrefix("# HELP ") {
        #expect(helped.insert(words[2]).inserted && words.count > 3)
      } else if line.hasPrefix("# TYPE ") {
        #expect(typed.insert(words[2]).inserted && words[3] == "gauge")
      } else {
        let name = line.prefix { $0 != "{" && $0 != " " }
        #expect(name.hasPrefix("twofactor_") && name.allSatisfy { $0 == "_" || $0.isLetter && $0.isLowercase })
        #expect(helped.contains(name) && typed.contains(name) && Int(words.last ?? "") != nil)
      }
    }
    #expect(helped == typed && helped.count == 8)
  }

  @Test func theJSONHasTheSamples() {
    let metrics = HostMetrics(users: Self.users, accounts: 6, findings: [], now: 5)
    let sample = #"{"labels": {"state": "enrolled"}, "value": 3}"#
    #expect(metrics.json.text.contains(sample) && metrics.json.text.contains(#""type": "gauge""#))
  }
}
