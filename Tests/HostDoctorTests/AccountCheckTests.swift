import Testing

@testable import HostDoctor

@Suite struct AccountCheckTests {
  private static let file = "/etc/security/twofactor.conf"
  private static let password = "auth requisite pam_unix.so\n"
  private static let auth = password + "auth required pam_twofactor.so\n"
  private static let unix = """
    account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so
    account requisite pam_deny.so
    account required pam_permit.so

    """
  private static let skip = "TYPE [success=1 default=ignore] pam_usertype.so issystem\n"
  private static let ours = "account required pam_twofactor.so\n"

  private func host(_ files: [String: String]) throws -> TemporaryHost {
    try TemporaryHost(files.merging(["/etc/debian_version": "12\n"]) { one, _ in one })
  }

  /// The findings about the account stack of a service, and how it enrolls users.
  private func check(
    _ stack: String, _ settings: String = "enroll = require", service: String = "login"
  ) throws -> (findings: [Finding], guidance: EnrollmentGuidance?) {
    let host = try host(["/etc/pam.d/\(service)": stack, Self.file: settings + "\n"])
    return host.read { tree in
      let found = HostFindings(tree: tree, account: nil)
      let findings = found.ofStacks.filter { $0.finding.isOfAccounts }
        .map { RemedySearch(before: found).finding($0.finding, $0.services) }
      return (findings, found.guidance(of: service))
    }
  }

  @Test(arguments: [
    auth + ours + unix, auth + ours + "account required pam_unix.so\n", auth + "account required pam_unix.so\n" + ours,
    auth + "account required pam_nologin.so\n" + ours + unix,
    // Authentication does not remember the users who skip the account rule.
    password + skip.replacing("TYPE", with: "auth") + "auth required pam_twofactor.so\n"
      + skip.replacing("TYPE", with: "account") + ours + unix,
  ])
  func aCorrectStackEnrollsUsers(stack: String) throws {
    let (findings, guidance) = try check(stack)
    #expect(findings == [])
    #expect(guidance?.isRequired == true && guidance?.networks == [])
  }

  @Test(
    arguments: [
      (
        auth + unix, "enroll = require", "enrollment_bypass failed", "they get in with the password alone",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + unix, "enroll = offer", "enrollment_bypass failed", "they get in with the password alone",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + unix, "enroll = require\nnullok = yes", "enrollment_bypass failed",
        "they get in with the password alone",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + unix, "enroll = offer\nnullok = yes", "enrollment_bypass warning", "never led through enrollment",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + unix, "enroll = require\nrequired_from = 9999-01-01", "enrollment_bypass warning",
        "get in with the password alone even after 9999-01-01",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + unix, "enroll = require\nrequired_from = 2020-01-01", "enrollment_bypass failed", "password alone",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        password + "auth required pam_twofactor.so enroll=require window=2 conf=/etc/security/twofactor.conf\n" + unix,
        "", "enrollment_bypass failed", "password alone",
        "before line 3: account required pam_twofactor.so enroll=require conf=/etc/security/twofactor.conf"
      ),
      (
        auth + unix + ours, "enroll = require", "enrollment_bypass failed", "if their password has expired",
        """
        in /etc/pam.d/login, remove line 6: account required pam_twofactor.so
        in /etc/pam.d/login, before line 3: account required pam_twofactor.so
        """
      ),
      (
        auth + "account sufficient pam_localuser.so\n" + ours + "account required pam_permit.so\n", "enroll = require",
        "enrollment_bypass failed", "(pam_localuser, sufficient) skips /etc/pam.d/login, line 4",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account sufficient pam_localuser.so\n" + ours + "account required pam_permit.so\n", "enroll = offer",
        "enrollment_bypass warning", "some users who are not enrolled are not offered enrollment",
        "in /etc/pam.d/login, before line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account optional pam_twofactor.so\n" + unix, "enroll = require", "enrollment_control failed",
        "users who must enroll, and do not, get in", "in /etc/pam.d/login, line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account [success=ok default=ignore] pam_twofactor.so\n" + unix, "enroll = require",
        "enrollment_control failed", "users who must enroll, and do not, get in",
        "in /etc/pam.d/login, line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account sufficient pam_twofactor.so\n" + unix, "enroll = offer", "enrollment_control failed",
        "such as users with expired accounts", "in /etc/pam.d/login, line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account required pam_twofactor.so enroll=no\n" + unix, "enroll = require", "enrollment_options failed",
        "enroll is no, but it is require for /etc/pam.d/login, line 2",
        "in /etc/pam.d/login, line 3: account required pam_twofactor.so enroll=require"
      ),
      (
        auth + "account required pam_twofactor.so enroll=offer\n" + unix, "enroll = require",
        "enrollment_options failed", "may decline",
        "in /etc/pam.d/login, line 3: account required pam_twofactor.so enroll=require"
      ),
      (
        auth + "account required pam_twofactor.so enroll=require\n" + unix, "enroll = offer",
        "enrollment_options warning", "the account rule decides",
        "in /etc/pam.d/login, line 2: auth required pam_twofactor.so enroll=require"
      ),
      (
        auth + ours + unix, "", "enrollment_options warning", "the rule has no effect, because enroll is not set",
        "in /etc/pam.d/login, remove line 3: account required pam_twofactor.so"
      ),
      (
        auth + "account required pam_twofactor.so enroll=offer\n" + unix, "", "enrollment_options warning",
        "which refuses users who are not enrolled",
        "in /etc/pam.d/login, remove line 3: account required pam_twofactor.so enroll=offer"
      ),
      // The jump of pam_unix skips the rule instead of pam_deny.
      (
        auth + "account [success=1 default=ignore] pam_unix.so\n" + ours + "account requisite pam_deny.so\n"
          + "account required pam_permit.so\n", "enroll = require", "pam_account failed",
        "refuses users whom it would let in without the rule",
        """
        in /etc/pam.d/login, remove line 4: account required pam_twofactor.so
        in /etc/pam.d/login, before line 3: account required pam_twofactor.so
        """
      ),
    ])
  func aMistakeIsFoundWithItsRemedy(
    stack: String, settings: String, summary: String, words: String, remedy: String
  ) throws {
    let findings = try check(stack, settings).findings
    #expect(findings.map(\.summary) == [summary])
    #expect(findings.first?.detail.contains(words) == true, "\(findings)")
    #expect(findings.first?.remedy?.contains(remedy) == true, "\(findings)")
  }

  @Test func servicesShareTheRemedyOfASharedFile() throws {
    let host = try host([
      "/etc/pam.d/common-auth": Self.auth, "/etc/pam.d/common-account": Self.unix,
      "/etc/pam.d/sshd": "@include common-auth\naccount required pam_nologin.so\n@include common-account\n",
      "/etc/pam.d/login": "@include common-auth\n@include common-account\n",
      // cron authenticates no users.
      "/etc/pam.d/cron": "@include common-auth\n@include common-account\n",
      Self.file: "enroll = require\n",
    ])
    let findings = host.read { HostExamination(tree: $0, account: nil).findings }
      .filter { $0.name == "enrollment_bypass" }
    #expect(findings.map(\.status) == [.failed])
    #expect(findings.first?.detail.hasSuffix("(services login, sshd)") == true)
    #expect(
      findings.first?.remedy == "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so")
  }

  @Test func anAccountRuleAloneIsNoMistake() throws {
    let host = try host([
      "/etc/pam.d/cron": "auth required pam_unix.so\n" + Self.ours + Self.unix, Self.file: "enroll = require\n",
    ])
    let findings = host.read { HostExamination(tree: $0, account: nil).findings }
    #expect(!findings.contains { $0.name.hasPrefix("enrollment_") && $0.status != .skipped })
    #expect(findings.contains { $0.summary == "pam_stacks warning" })
  }

  @Test func theServicesThatEnrollAreListed() throws {
    let host = try host([
      "/etc/pam.d/login": Self.auth + Self.ours + Self.unix, "/etc/pam.d/sshd": Self.auth + Self.ours + Self.unix,
      // swaylock does not call pam_acct_mgmt(3).
      "/etc/pam.d/swaylock": Self.auth.replacing(".so\n", with: ".so forward_pass\n"),
      "/etc/pam.d/dovecot": Self.auth.replacing(".so\n", with: ".so forward_pass\n") + Self.ours + Self.unix,
      Self.file: "enroll = offer\nrequired_from = 9999-01-01\nenroll_networks = 192.0.2.0/24\n",
    ])
    let findings = host.read { HostExamination(tree: $0, account: nil).findings }
      .filter { $0.name == "enrollment_at_login" }
    #expect(
      findings == [
        .ok(
          "enrollment_at_login",
          "users who are not enrolled are led through enrollment by login, sshd: offered, required from 9999-01-01 on, "
            + "from 192.0.2.0/24 alone"),
        .ok(
          "enrollment_at_login",
          "programs with a single password field show no questions, and offer no enrollment: dovecot"),
        .ok(
          "enrollment_at_login",
          "screen lockers that skip the account stack accept the password alone of users who are not enrolled: swaylock"
        ),
      ])
  }
}

@Suite struct AccountModuleTests {
  /// The results of an account rule, with its key.
  private func results(_ line: String, enrollment: PAMModuleCall.Enrollment = .none) throws -> String {
    let host = try TemporaryHost(["/etc/pam.d/x": "account \(line)"])
    let rule = try #require(host.stack("x").chain(.account).rules.first)
    let outcomes = host.read { tree in
      PAMModuleModel(tree: tree).outcomes(
        of: PAMModuleCall(
          rule: rule, service: "x", isEnrolled: false, knows: [], client: .interactive, token: .none,
          enrollment: enrollment))
    }
    return (outcomes.key.map { $0 + "| " } ?? "") + outcomes.all.map(\.result.name).joined(separator: " ")
  }

  @Test(arguments: [
    (
      "[success=ok new_authtok_reqd=done default=ignore] pam_unix.so",
      "pam_unix account| success new_authtok_reqd acct_expired"
    ),
    ("required pam_unix.so", "pam_unix account| success new_authtok_reqd acct_expired"),
    (
      "[default=bad success=ok user_unknown=ignore] pam_sss.so ignore_authinfo_unavail",
      "pam_sss account| success user_unknown perm_denied ignore"
    ),
    ("required pam_permit.so", "success"), ("required pam_deny.so", "auth_err"), ("required pam_nologin.so", "ignore"),
    ("required pam_localuser.so", "pam_localuser| success perm_denied"),
    ("required pam_debug.so acct=acct_expired auth=success", "acct_expired"), ("required pam_env.so", "service_err"),
    ("required pam_exec.so type=auth /bin/true", "ignore"), ("required pam_time.so", "success"),
    ("required pam_limits.so", "module_unknown"), ("required pam_rootok.so", "auth_err"),
    ("required pam_succeed_if.so user = root", "auth_err"), ("required pam_faillock.so", "success"),
  ])
  func accountModules(line: String, expected: String) throws { #expect(try results(line) == expected) }

  @Test(arguments: [
    ("", "ignore", "ignore"), ("enroll=offer", "success", "ignore"), ("enroll=require", "success", "perm_denied"),
    ("enroll=offer required_from=2020-01-01", "success", "perm_denied"),
    ("enroll=require required_from=9999-01-01", "success", "ignore"), ("required_from=2020-01-01", "ignore", "ignore"),
    ("enroll=maybe", "service_err", "service_err"),
  ])
  func ourAccountRule(arguments: String, made: String, declined: String) throws {
    let line = "required pam_twofactor.so \(arguments)"
    #expect(try results(line) == "ignore")
    #expect(try results(line, enrollment: .made) == made)
    #expect(try results(line, enrollment: .declined) == declined)
  }
}
