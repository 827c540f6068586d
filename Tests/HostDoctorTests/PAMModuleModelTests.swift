import Testing

@testable import HostDoctor

@Suite struct PAMModuleModelTests {
  typealias Call = PAMModuleCall

  /// The outcomes as text: `KEY|` if they have a key, then each result with `:TOKEN` if it changes, `!` if a code is
  /// asked for, and `?` if the user is unknown.
  private func outcomes(
    _ line: String, service: String = "x", isEnrolled: Bool = true, knows: Knowledge = [.password, .code],
    client: Call.Client = .interactive, token: Call.Token = .none, files: [String: String] = [:]
  ) throws -> String {
    let host = try TemporaryHost(files.merging(["/etc/pam.d/\(service)": "auth \(line)"]) { one, _ in one })
    let rule = try #require(host.stack(service).chain(.auth).rules.first)
    let outcomes = host.read { tree in
      PAMModuleModel(tree: tree).outcomes(
        of: Call(
          rule: rule, service: service, isEnrolled: isEnrolled, knows: knows, client: client, token: token))
    }
    let texts = outcomes.all.map { outcome in
      outcome.result.name + (outcome.token.map { ":\($0)" } ?? "") + (outcome.asksForCode ? "!" : "")
        + (outcome.isUserUnknown ? "?" : "")
    }
    return (outcomes.key.map { $0 + "| " } ?? "") + texts.joined(separator: " ")
  }

  private func credentials(_ line: String, after result: PAMResult?) throws -> String {
    let host = try TemporaryHost(["/etc/pam.d/x": "auth \(line)"])
    let rule = try #require(host.stack("x").chain(.auth).rules.first)
    return host.read { PAMModuleModel(tree: $0).setCredentials(rule, authentication: result).name }
  }

  /// Has an action for each result that the models distinguish.
  private static let all = "[user_unknown=1 authinfo_unavail=2 auth_err=3 ignore=ignore default=bad]"

  @Test(
    arguments: [
      ("required pam_unix.so", .password, .none, "pam_unix| success:password user_unknown:password?"),
      ("required pam_unix.so", .code, .none, "pam_unix| auth_err:code user_unknown:code?"),
      ("required pam_unix.so", [], .none, "pam_unix| auth_err:other user_unknown:other?"),
      ("required pam_unix.so", .password, .other, "pam_unix| auth_err user_unknown?"),
      ("required pam_unix.so", [], .password, "pam_unix| success user_unknown?"),
      ("required pam_unix.so use_first_pass", .password, .none, "pam_unix| auth_err auth_err?"),
      (
        all + " pam_unix.so", .password, .password,
        "pam_unix| success user_unknown? authinfo_unavail? auth_err?"
      ),
      ("required pam_sss.so", .password, .none, "pam_sss| success user_unknown?"),
      ("required pam_sss.so forward_pass", .password, .none, "pam_sss| success:password user_unknown:password?"),
      ("required pam_sss.so forward_pass", .password, .other, "pam_sss| auth_err user_unknown?"),
      ("required pam_sss.so retry=1", .password, .other, "pam_sss| success user_unknown?"),
      (all + " pam_sss.so ignore_unknown_user", .password, .password, "pam_sss| success ignore? authinfo_unavail?"),
      (
        all + " pam_sss.so ignore_unknown_user ignore_authinfo_unavail", .password, .password,
        "pam_sss| success ignore?"
      ),
      ("required pam_sss.so try_cert_auth", .password, .none, "pam_sss card| success authinfo_unavail"),
      ("required pam_krb5.so", .password, .other, "pam_krb5| success:password user_unknown:password?"),
      ("required pam_krb5.so try_first_pass", .password, .other, "pam_krb5| success:password user_unknown?"),
      ("required pam_krb5.so use_first_pass", .password, .other, "pam_krb5| auth_err user_unknown?"),
      ("required pam_krb5.so use_first_pass", .password, .none, "pam_krb5| success:password user_unknown:password?"),
      ("required pam_krb5.so force_first_pass", .password, .none, "pam_krb5| auth_err auth_err?"),
      ("required pam_kanidm.so use_first_pass", .password, .none, "pam_kanidm| success user_unknown? ignore?"),
      ("required pam_winbind.so use_first_pass", .password, .none, "pam_winbind| authtok_err authtok_err?"),
      ("required pam_systemd_home.so", .password, .none, "pam_systemd_home| success:password user_unknown?"),
      ("required pam_systemd_home.so", [], .none, "pam_systemd_home| maxtries:other user_unknown?"),
      (
        all + " pam_radius_auth.so", .password, .none,
        "pam_radius_auth| success:password auth_err:password? authinfo_unavail:password?"
      ),
      ("required pam_kanidm.so use_first_pass", .password, .password, "pam_kanidm| success user_unknown? ignore?"),
      (
        "required pam_ccreds.so action=validate use_first_pass", .password, .password,
        "pam_ccreds| success user_unknown"
      ),
      ("required pam_ccreds.so action=store", .password, .password, "success"),
    ] as [(String, Knowledge, Call.Token, String)])
  func passwordModules(line: String, knows: Knowledge, token: Call.Token, expected: String) throws {
    #expect(try outcomes(line, knows: knows, token: token) == expected)
  }

  @Test(
    arguments: [
      ("required pam_fprintd.so", .password, "pam_fprintd| success authinfo_unavail"),
      ("required pam_fprintd.so", .code, "pam_fprintd| maxtries authinfo_unavail"),
      (all + " pam_u2f.so cue", .password, "pam_u2f| success user_unknown authinfo_unavail"),
      ("required pam_u2f.so nouserok", .password, "pam_u2f| success ignore success"),
      ("required pam_ssh_agent_auth.so", [], "pam_ssh_agent_auth| auth_err auth_err"),
    ] as [(String, Knowledge, String)])
  func otherFactorsCountAsThePassword(line: String, knows: Knowledge, expected: String) throws {
    #expect(try outcomes(line, knows: knows, token: .other) == expected)
  }

  @Test(
    arguments: [
      ("", .code, .none, .interactive, "success auth_err"),
      ("nullok", .password, .none, .interactive, "auth_err ignore"),
      ("forward_pass", [.password, .code], .none, .singleField, "success:password auth_err"),
      ("", [.password, .code], .none, .singleField, "auth_err auth_err"),
      ("use_first_pass", [.password, .code], .both, .interactive, "success auth_err"),
      ("use_first_pass", [.password, .code], .none, .interactive, "auth_err auth_err"),
      ("try_first_pass", [.password, .code], .password, .interactive, "success auth_err"),
    ] as [(String, Knowledge, Call.Token, Call.Client, String)])
  func googleAuthenticator(
    arguments: String, knows: Knowledge, token: Call.Token, client: Call.Client, expected: String
  ) throws {
    let line = "required pam_google_authenticator.so \(arguments)"
    #expect(
      try outcomes(line, knows: knows, client: client, token: token) == "pam_google_authenticator| \(expected)")
  }

  @Test(
    arguments: [
      ("pam_oath.so usersfile=/x", .interactive, .none, "pam_oath| success user_unknown"),
      ("pam_oath.so usersfile=/x", .singleField, .none, "pam_oath| auth_err user_unknown"),
      ("pam_oath.so usersfile=/x digits=6", .singleField, .none, "pam_oath| success:password user_unknown"),
      ("pam_oath.so try_first_pass", .interactive, .password, "pam_oath| auth_err user_unknown"),
      ("pam_yubico.so id=1 nullok", .singleField, .none, "pam_yubico| success:password ignore"),
      ("pam_yubico.so mode=challenge-response", .singleField, .none, "pam_yubico| success user_unknown"),
      ("pam_duo.so", .interactive, .none, "pam_duo| success service_err"),
    ] as [(String, Call.Client, Call.Token, String)])
  func otherCodes(line: String, client: Call.Client, token: Call.Token, expected: String) throws {
    #expect(try outcomes("required \(line)", client: client, token: token) == expected)
  }

  @Test(
    arguments: [
      ("pam_permit.so", "success"), ("pam_deny.so", "auth_err"), ("pam_env.so", "ignore"),
      ("pam_debug.so", "success"), ("pam_debug.so cred=cred_err auth=maxtries auth=success", "maxtries"),
      ("pam_debug.so auth=nonsense", "success"), ("pam_rootok.so", "auth_err"), ("pam_nologin.so", "ignore"),
      ("pam_nologin.so successok", "success"), ("pam_userdb.so", "service_err"), ("pam_securetty.so", "success"),
      ("pam_selinux.so", "auth_err"),
      ("pam_faillock.so preauth silent", "success"), ("pam_faillock.so authfail", "ignore"),
      ("pam_faillock.so authsucc", "success"), ("pam_faillock.so", "success"),
      ("pam_faillock.so authfail local_users_only", "pam_localuser| ignore success"),
      ("pam_faildelay.so delay=2", "ignore"), ("pam_echo.so text", "success"),
      ("pam_echo.so file=/x", "pam_echo file=/x| success ignore"), ("pam_motd.so", "module_unknown"),
      ("pam_time.so", "module_unknown"), ("pam_gnome_keyring.so", "success"), ("pam_kwallet5.so", "ignore:password"),
      ("pam_mount.so", "success:password"), ("pam_ftp.so", "auth_err:password"), ("pam_sepermit.so", "ignore"),
      ("pam_localuser.so", "pam_localuser| success perm_denied"),
      ("pam_usertype.so isregular", "pam_usertype| success auth_err"),
      ("pam_usertype.so issystem", "pam_usertype| auth_err success"), ("pam_usertype.so", "service_err"),
      ("pam_wheel.so", "pam_wheel  false| ignore perm_denied"),
      ("pam_wheel.so trust group=g use_uid", "pam_wheel g true| success perm_denied"),
      ("pam_wheel.so deny", "pam_wheel  false| perm_denied ignore"), ("pam_wheel.so root_only", "ignore"),
      ("pam_listfile.so item=user sense=allow file=/x", "pam_listfile item=user file=/x| success auth_err"),
      ("pam_listfile.so item=user sense=deny file=/x quiet", "pam_listfile item=user file=/x| auth_err success"),
      ("pam_listfile.so item=user apply=a file=/x", "pam_listfile item=user apply=a file=/x| success auth_err"),
      ("pam_listfile.so item=tty apply=a file=/x", "pam_listfile item=tty apply=a file=/x| success auth_err ignore"),
      ("pam_exec.so /bin/true", "pam_exec /bin/true| success system_err"), ("pam_exec.so", "service_err"),
      ("pam_exec.so type=session /bin/true", "ignore"),
      ("pam_exec.so /bin/x type=session", "pam_exec /bin/x type=session| success system_err"),
      ("pam_cap.so", "ignore"),
      (
        "pam_exec.so expose_authtok /x",
        "pam_exec expose_authtok /x| success:password system_err:password"
      ),
      ("pam_access.so", "pam_access| success perm_denied"),
    ])
  func otherModules(line: String, expected: String) throws {
    #expect(try outcomes("required \(line)") == expected)
  }

  @Test(
    arguments: [
      ("user = root", "auth_err"), ("user != root", "success"), ("uid = 0", "auth_err"), ("uid eq 0", "auth_err"),
      ("uid ne 0 quiet", "success"), ("uid > 0", "success"), ("uid >= 1", "success"), ("uid < 1", "auth_err"),
      ("use_uid uid = 0", "caller's uid = 0| success auth_err"), ("user in root", "auth_err"),
      ("user notin root", "success"), ("user in root:a", "user in root:a| success auth_err"),
      ("uid >= 1000 quiet", "uid < 1000| auth_err success"), ("uid < 1000", "uid < 1000| success auth_err"),
      ("uid > 999", "uid < 1000| auth_err success"), ("uid le 999", "uid < 1000| success auth_err"),
      ("uid >= 1000 user != root", "uid < 1000| auth_err success"), ("user = root uid >= 1000", "auth_err"),
      ("user ingroup staff", "user ingroup staff| success auth_err"),
      ("user notingroup staff", "user ingroup staff| auth_err success"),
      ("user ingroup staff uid >= 10", "pam_succeed_if user ingroup staff uid >= 10| success auth_err"),
      ("service in x:y use_uid", "success"), ("service notin x:y", "auth_err"), ("service = z", "auth_err"),
      ("shell eq x", "service_err"), ("color = x", "service_err"), ("uid", "service_err"), ("quiet", "success"),
      ("user = root uid", "auth_err"),
    ])
  func conditionsOfPamSucceedIf(arguments: String, expected: String) throws {
    #expect(try outcomes("required pam_succeed_if.so \(arguments)") == expected)
  }

  @Test(
    arguments: [
      ("empty", nil, "auth_err"), ("absent", nil, "auth_err"), ("staff", nil, "user ingroup staff| success auth_err"),
      ("users", nil, "user ingroup users| success auth_err"),
      ("empty", "group: files sss\n", "user ingroup empty| success auth_err"),
    ] as [(String, String?, String)])
  func groupsWithoutMembersDecide(group: String, sources: String?, expected: String) throws {
    let files = [
      "/etc/group": "empty:x:5:\nstaff:x:50:alice\nusers:x:100:\n", "/etc/passwd": "alice:x:1000:100::/home/alice:\n",
      "/etc/nsswitch.conf": sources ?? "group: files systemd\n",
    ]
    #expect(try outcomes("required pam_succeed_if.so user ingroup \(group)", files: files) == expected)
  }

  @Test(arguments: [
    ("none *\n", "success"), ("# none *\n", "ignore"), ("cap_net_raw alice\n", "pam_cap| success ignore"),
  ])
  func capabilitiesAreSetForTheUsersOfTheFile(text: String, expected: String) throws {
    #expect(try outcomes("required pam_cap.so", files: ["/etc/security/capability.conf": text]) == expected)
  }

  @Test func theUsersOfSEPermitMayPass() throws {
    let files = ["/etc/security/sepermit.conf": "# none\nguest:exclusive\n"]
    #expect(
      try outcomes("required pam_sepermit.so", files: files) == "pam_sepermit| ignore success auth_err")
  }

  @Test(
    arguments: [
      ("required", "success ignore auth_err"),
      ("[success=2 user_unknown=die default=ignore]", "success ignore auth_err user_unknown"),
      ("[default=done]", "success ignore auth_err"),
    ])
  func anUnknownModuleReturnsOneResultForEachAction(control: String, expected: String) throws {
    #expect(try outcomes("\(control) pam_nameless.so") == expected)
  }

  @Test(
    arguments: [
      // Enrolled.
      ("", true, [.password, .code], .interactive, .password, "success!"),
      ("", true, .password, .interactive, .password, "auth_err!"),
      ("", true, [.password, .code], .singleField, .none, "auth_err!"),
      ("", true, .code, .singleField, .none, "success!"),
      ("forward_pass", true, [.password, .code], .singleField, .none, "success:password!"),
      ("forward_pass", true, [.password, .code], .interactive, .none, "success:password!"),
      ("forward_pass", true, .password, .interactive, .none, "auth_err:password!"),
      ("forward_pass", true, .code, .interactive, .none, "success:other!"),
      ("use_first_pass", true, [.password, .code], .interactive, .both, "success!"),
      ("use_first_pass", true, [.password, .code], .interactive, .password, "auth_err!"),
      ("use_first_pass", true, [.password, .code], .interactive, .none, "auth_err!"),
      ("try_first_pass", true, [.password, .code], .interactive, .password, "success!"),
      ("try_first_pass forward_pass", true, [.password, .code], .interactive, .both, "success:password!"),
      ("use_first_pass forward_pass", true, [], .interactive, .both, "success:password!"),
      // Not enrolled.
      ("", false, [.password, .code], .interactive, .password, "auth_err!"),
      ("nullok", false, [.password, .code], .interactive, .password, "ignore"),
      ("nullok required_from=9999-01-01", false, .password, .interactive, .none, "ignore"),
      ("required_from=9999-01-01", false, .password, .interactive, .none, "ignore"),
      ("nullok required_from=2020-01-01", false, .password, .interactive, .none, "auth_err!"),
      ("only_groups=staff", false, .password, .interactive, .none, "ignore"),
      ("nullok forward_pass", false, .password, .interactive, .none, "ignore:password"),
      ("nullok use_first_pass", false, .password, .interactive, .none, "ignore"),
      ("nullok forward_pass use_first_pass", false, .password, .interactive, .none, "ignore"),
      ("nullok forward_pass use_first_pass", false, .password, .interactive, .password, "ignore:password"),
      ("nullok forward_pass try_first_pass", false, .password, .interactive, .none, "ignore:password"),
      ("forward_pass", false, .password, .interactive, .none, "auth_err:password!"),
      ("forward_pass", false, [.password, .code], .interactive, .none, "auth_err:password!"),
      // Options.
      ("nonsense", true, [.password, .code], .interactive, .password, "service_err"),
      ("conf=/missing", true, [.password, .code], .interactive, .password, "service_err"),
      ("require_method=publickey", true, [.password, .code], .interactive, .password, "auth_err"),
    ] as [(String, Bool, Knowledge, Call.Client, Call.Token, String)])
  func ourModule(
    arguments: String, isEnrolled: Bool, knows: Knowledge, client: Call.Client, token: Call.Token, expected: String
  ) throws {
    #expect(
      try outcomes(
        "required pam_twofactor.so \(arguments)", isEnrolled: isEnrolled, knows: knows, client: client, token: token)
        == expected)
  }

  @Test func ourModuleReadsItsFile() throws {
    let files = ["/etc/security/twofactor.conf": "nullok = yes\n"]
    #expect(try outcomes("required pam_twofactor.so", isEnrolled: false, files: files) == "ignore")
    #expect(try outcomes("required pam_twofactor.so nullok=no", isEnrolled: false, files: files) == "auth_err!")
  }

  @Test func sshdCountsAsHavingPassedARequiredMethod() throws {
    #expect(try outcomes("required pam_twofactor.so require_method=publickey", service: "sshd") == "success!")
  }

  @Test func aModuleThatIsNotInTheTreeIsUnknown() throws {
    let files = ["/usr/lib/security/pam_deny.so": "", "/opt/pam_unix.so": "", "/usr/lib/security/pam_debug.so": ""]
    #expect(try outcomes("required pam_unix.so", files: files) == "module_unknown")
    #expect(try outcomes("required pam_debug.so", files: files) == "success")
    #expect(try outcomes("required pam_debug", files: files) == "module_unknown")
    #expect(try outcomes("required /opt/pam_debug.so", files: files) == "module_unknown")
    #expect(try outcomes("required /opt/pam_unix.so", files: files).hasPrefix("pam_unix| "))
    #expect(try outcomes("required pam_permit.so") == "success", "no modules in the tree")
  }

  @Test(
    arguments: [
      ("required pam_unix.so", .authenticationError, "success"),
      ("required pam_unix.so likeauth", .authenticationError, "auth_err"),
      ("required pam_unix.so likeauth", nil, "success"), ("required pam_deny.so", nil, "cred_err"),
      ("required pam_debug.so cred=cred_err", .success, "cred_err"), ("required pam_debug.so", .success, "success"),
      ("required pam_twofactor.so", .success, "success"), ("required pam_succeed_if.so uid = 0", nil, "ignore"),
      ("required pam_motd.so", .moduleUnknown, "module_unknown"), ("required pam_nameless.so", nil, "success"),
      ("required pam_radius_auth.so", .informationUnavailable, "authinfo_unavail"),
    ] as [(String, PAMResult?, String)])
  func settingCredentials(line: String, after result: PAMResult?, expected: String) throws {
    #expect(try credentials(line, after: result) == expected)
  }
}
