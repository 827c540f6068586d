import HostAccess
import Testing

@testable import HostDoctor

@Suite struct GuessingCheckTests {
  private func findings(_ arguments: String = "", conf: String? = nil) throws -> [Finding] {
    let host = try TemporaryHost(["/etc/pam.d/x": "auth required pam_twofactor.so \(arguments)"])
    if let conf { try host.write(HostSettings.path, conf) }
    let rules = try host.stack("x").twoFactorRules
    return host.read { GuessingCheck(tree: $0, rules: rules).findings }
  }

  @Test func theChanceUnderTheDefaultsIsStated() throws {
    let findings = try findings()
    #expect(findings.map(\.summary) == ["guessing ok"])
    let detail = findings.first?.detail ?? ""
    for figure in [
      "100 guesses", "0.03 % if the user has one app", "0.11 % with one token", "0.88 % with 8 devices",
      "5 guesses are possible",
    ] {
      #expect(detail.contains(figure), "\(detail)")
    }
  }

  @Test func theSettingsOfFileAndArgumentsCount() throws {
    let detail = try findings("window=2 max_failures=1", conf: "look_ahead = 5\n").first?.detail ?? ""
    #expect(detail.contains("0.05 % if the user has one app, 0.06 % with one token"), "\(detail)")
    #expect(detail.contains("1 guess is possible"), "\(detail)")
  }

  @Test(
    arguments: [
      ("window=6", nil, "in /etc/pam.d/x, line 1: auth required pam_twofactor.so window=5"),
      ("look_ahead=12 debug", nil, "in /etc/pam.d/x, line 1: auth required pam_twofactor.so look_ahead=11 debug"),
      ("", "debug = yes\nlook_ahead = 50\n", "in /etc/security/twofactor.conf, line 2: look_ahead = 11"),
      (
        "window=10", "look_ahead = 50\n",
        "in /etc/pam.d/x, line 1: auth required pam_twofactor.so window=5\n"
          + "in /etc/security/twofactor.conf, line 1: look_ahead = 11"
      ),
    ] as [(String, String?, String)])
  func aChanceAboveOnePercentIsAWarning(arguments: String, conf: String?, remedy: String) throws {
    let findings = try findings(arguments, conf: conf)
    #expect(findings.map(\.summary) == ["guessing warning"])
    #expect(findings.first?.remedy == remedy)
  }

  @Test func theLargestValuesWithinTheBoundAreNoWarning() throws {
    #expect(try findings("window=5 look_ahead=11").map(\.summary) == ["guessing ok"])
  }
}
