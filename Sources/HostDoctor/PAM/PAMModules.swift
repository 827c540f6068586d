/// What is known of the modules that stand beside ours in a stack.
enum PAMModules {
  /// Modules that check a password.
  static let passwords: Set<String> = [
    "pam_unix", "pam_unix2", "pam_sss", "pam_ldap", "pam_krb5", "pam_winbind", "pam_systemd_home", "pam_pwdfile",
    "pam_userdb", "pam_kanidm", "pam_himmelblau", "pam_aad", "pam_lsass", "pam_centrifydc", "pam_vas3",
    "pam_radius_auth", "pam_radius", "pam_tacplus", "pam_pkcs11",
  ]

  /// Modules that let somebody in by something else than a password.
  static let otherFactors: Set<String> = [
    "pam_fprintd", "pam_u2f", "pam_ssh_agent_auth", "pam_google_authenticator", "pam_oath", "pam_yubico", "pam_howdy",
    "pam_duo", "pam_usb", "pam_ussh", "pam_p11",
  ]

  /// Modules that answer one way for some logins and another way for others.
  static let conditions: Set<String> = [
    "pam_succeed_if", "pam_localuser", "pam_usertype", "pam_listfile", "pam_access", "pam_time", "pam_exec",
    "pam_script", "pam_python", "pam_lua",
  ]

  /// Whether a rule's module may answer either way, for all that can be known here.
  static func isOpen(_ rule: PAMRule) -> Bool {
    if conditions.contains(rule.name) { return true }
    // `pam_wheel trust` lets members of a group in without a password.
    return rule.name == "pam_wheel" && rule.arguments.contains("trust")
  }

  /// The answer of a module that is none of the above to a login that is as it should be.
  static func usualAnswer(of rule: PAMRule) -> String {
    switch rule.name {
    case "pam_deny": "auth_err"
    // The login is not one of root's own: su(1) asks nobody who is root already.
    case "pam_rootok": "auth_err"
    case "pam_env", "pam_nologin", "pam_faildelay", "pam_keyinit", "pam_group", "pam_cap", "pam_warn", "pam_echo":
      "ignore"
    case "pam_faillock": rule.arguments.contains("authfail") ? "ignore" : "success"
    default: "success"
    }
  }
}
