import Foundation
import Testing

@testable import HostDoctor

@Suite struct SingleFieldCheckTests {
  private static let common =
    "auth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\t\t\tpam_deny.so\n"
    + "auth\trequired\t\t\tpam_permit.so\n"
  private static let enabled = common + "auth\trequired\tpam_twofactor.so nullok\n"
  private static let include = "@include common-auth\n@include common-account\n@include common-session\n"
  private static let two = [
    "auth required pam_twofactor.so forward_pass nullok", "auth required pam_unix.so use_first_pass",
  ]

  /// The services of Debian 12, with the line that checks the password.
  private static let shipped: [(service: String, text: String, line: Int)] = [
    ("cups", include, 1),
    ("dovecot", "#%PAM-1.0\n\n" + include, 3),
    ("i3lock", "#\n# PAM configuration file for the i3lock screen locker.\n#\n\nauth include login\n", 5),
    ("imap", "# imap\n" + include + "@include common-password\n", 2),
    ("ppp", "auth\trequired\tpam_nologin.so\n" + include, 2),
    (
      "proftpd",
      "#%PAM-1.0\nauth       required\tpam_listfile.so item=user sense=deny file=/etc/ftpusers onerr=succeed\n"
        + include,
      3
    ),
    (
      "pure-ftpd",
      "auth\trequired\tpam_listfile.so item=user sense=deny file=/etc/ftpusers onerr=succeed\n"
        + "@include common-account\n@include common-session\n@include common-auth\nauth\trequired\tpam_shells.so\n", 4
    ),
    ("radiusd", "# FreeRADIUS\n\n" + include, 3),
    (
      "sddm",
      "#%PAM-1.0\nauth    requisite       pam_nologin.so\n"
        + "auth    required        pam_succeed_if.so user != root quiet_success\n@include common-auth\n"
        + "-auth   optional        pam_gnome_keyring.so\n-auth   optional        pam_kwallet5.so\n@include common-account\n",
      4
    ),
    ("swaylock", "#\n# swaylock\n#\n\nauth include login\n", 5),
    ("tigervnc", "#%PAM-1.0\n" + include, 2),
    (
      "vsftpd",
      "auth\trequired\tpam_listfile.so item=user sense=deny file=/etc/ftpusers onerr=succeed\n"
        + "@include common-account\n@include common-session\n@include common-auth\nauth\trequired\tpam_shells.so\n", 4
    ),
    (
      "xrdp-sesman",
      "#%PAM-1.0\nauth required pam_env.so readenv=1\nauth required pam_env.so readenv=1 envfile=/etc/default/locale\n"
        + include, 4
    ),
  ]

  private func host(_ services: [String: String], common: String = enabled) throws -> TemporaryHost {
    let host = try TemporaryHost([
      "/etc/debian_version": "12.5\n", "/etc/pam.d/common-auth": common,
      "/etc/pam.d/common-account": "account required pam_unix.so\n",
      "/etc/pam.d/common-session": "session required pam_unix.so\n",
      "/etc/pam.d/common-password": "password required pam_unix.so\n",
      "/etc/pam.d/login": "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n"
        + Self.include,
      "/etc/pam.d/sshd": Self.include,
    ])
    for (name, text) in services { try host.write("/etc/pam.d/\(name)", text) }
    return host
  }

  /// The findings, whose remedies are verified as for all others.
  private func findings(_ host: TemporaryHost) -> [Finding] {
    host.read { HostExamination(tree: $0, account: nil).findings.filter { $0.name == SingleFieldCheck.name } }
  }

  @Test(arguments: shipped)
  func aShippedServiceGetsTheTwoLinesThatWork(service: String, text: String, line: Int) throws {
    let host = try host([service: text])
    let findings = findings(host)
    #expect(findings.map(\.summary) == ["single_field warning"])
    #expect(findings.first?.detail.hasPrefix("the service \(service) asks for the code at a second prompt") == true)
    let file = "/etc/pam.d/\(service)"
    #expect(
      findings.first?.remedy
        == "in \(file), line \(line): \(Self.two[0])\nin \(file), behind line \(line): \(Self.two[1])")
    let logins = host.read { tree -> ServiceLogins? in
      let changed = tree.applying([Edit](remedy: findings.first?.remedy ?? ""))
      return changed.flatMap { ServiceSurvey(tree: $0).services.first { $0.service == service } }
    }
    #expect(logins?.isSingleField == true)
    #expect((logins?.enrolled?.text, logins?.unenrolled?.text) == ("password+code", "password"))
  }

  @Test func everyServiceOfAHostIsFoundAtOnce() throws {
    let services = Dictionary(uniqueKeysWithValues: Self.shipped.map { ($0.service, $0.text) })
    #expect(findings(try host(services)).count == services.count)
  }

  @Test(
    arguments: [
      two.joined(separator: "\n") + "\n", "auth required pam_unix.so\n", "auth required pam_deny.so\n",
      "auth optional pam_unix.so\nauth required pam_twofactor.so use_first_pass\n",
    ])
  func aServiceWithoutASecondPromptIsNoProblem(text: String) throws {
    #expect(findings(try host(["dovecot": text])) == [])
  }

  @Test func aProgramThatShowsEveryPromptIsNoProblem() throws {
    #expect(findings(try host(["gdm-password": Self.include])) == [])
  }

  @Test func theOptionsOfTheLineStay() throws {
    let text =
      Self.include.replacing("common-auth", with: "common-none")
      + "auth requisite pam_unix.so nullok\nauth required pam_twofactor.so window=2 echo_code\n"
    let findings = findings(try host(["cups": text, "common-none": "auth optional pam_env.so\n"]))
    #expect(
      findings.first?.remedy
        == "in /etc/pam.d/cups, remove line 5: auth required pam_twofactor.so window=2 echo_code\n"
        + "in /etc/pam.d/cups, line 4: auth required pam_twofactor.so forward_pass window=2\n"
        + "in /etc/pam.d/cups, behind line 4: auth required pam_unix.so use_first_pass")
  }

  @Test func severalPasswordModulesAreExpanded() throws {
    let common =
      "auth [success=2 default=ignore] pam_unix.so nullok try_first_pass\n"
      + "auth [success=1 default=ignore] pam_sss.so use_first_pass\n"
      + "auth requisite pam_deny.so\nauth required pam_permit.so\nauth required pam_twofactor.so nullok\n"
    let findings = findings(try host(["cups": Self.include], common: common))
    let file = "/etc/pam.d/cups"
    #expect(
      findings.first?.remedy == """
        in \(file), line 1: auth required pam_twofactor.so forward_pass nullok
        in \(file), behind line 1: auth [success=2 default=ignore] pam_unix.so nullok use_first_pass
        in \(file), behind line 1: auth [success=1 default=ignore] pam_sss.so use_first_pass
        in \(file), behind line 1: auth requisite pam_deny.so
        in \(file), behind line 1: auth required pam_permit.so
        """)
  }

  @Test func anIncludeOfAllFacilitiesKeepsTheOthers() throws {
    let host = try host(["cups": "@include login\n"])
    let remedy = findings(host).first?.remedy
    #expect(
      remedy?.hasSuffix(
        "\nin /etc/pam.d/cups, behind line 1: account include login\nin /etc/pam.d/cups, behind line 1: session include login"
      )
        == true)
  }

  @Test func aHostThatIsNotYetEnabledIsWarned() throws {
    let services = ["cups": Self.include, "dovecot": Self.include, "gdm-password": Self.include]
    let host = try host(services, common: Self.common)
    #expect(findings(host) == [])
    try host.write("/usr/share/pam-configs/twofactor", "Name: x\n")
    let all = findings(host)
    #expect(all.map(\.summary) == ["single_field warning", "single_field warning"])
    #expect(all.first?.detail.hasPrefix("pam-auth-update --enable twofactor adds a second prompt") == true)
    #expect(all.first?.remedy?.hasPrefix("in /etc/pam.d/cups, line 1: \(Self.two[0])\n") == true)
    // The others are still named after one of them is changed.
    try host.write("/etc/pam.d/cups", Self.two.joined(separator: "\n") + "\n")
    #expect(findings(host) == Array(all.dropFirst()))
    // An administrator who adds the module to single services gets no warning.
    try host.write("/etc/pam.d/sshd", Self.include + "auth required pam_twofactor.so\n")
    #expect(findings(host) == [])
  }

  @Test func noServiceIsListedTwice() {
    let services = SingleFieldProgram.all.flatMap(\.services)
    #expect(Set(services).count == services.count)
  }

  /// The table of the page `hosts.md`.
  @Test func thePageListsThePrograms() throws {
    let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../pam/hosts.md")
    let rows = SingleFieldProgram.all.map { program in
      "| \(program.name) | \(program.services.map { "`\($0)`" }.joined(separator: ", ")) | \(program.source) |"
    }
    let table = (["| program | PAM services | conversation function |", "|---|---|---|"] + rows).joined(separator: "\n")
    #expect(try String(contentsOf: page, encoding: .utf8).contains(table + "\n\n"))
  }
}
