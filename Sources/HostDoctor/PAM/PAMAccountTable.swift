/// The results of pam_sm_acct_mgmt(3) by module, according to sources or manual pages. Source, unless noted: Linux-PAM
/// modules/NAME/NAME.c.
enum PAMAccountTable {
  /// Modules with the same result for every user who is not root.
  static let constants: [String: PAMResult] = [
    "pam_permit": .success,
    "pam_deny": .authenticationError,
    "pam_env": .serviceError,
    // Resets the failures of a login that passed.
    "pam_faillock": .success,
    // Linux-PAM before 1.4, pam_tally2(8).
    "pam_tally": .success,
    "pam_tally2": .success,
    // Succeeds only in a process of root.
    "pam_rootok": .authenticationError,
    "pam_securetty": .success,
    "pam_warn": .ignore,
    // pam_mount src/pam_mount.c.
    "pam_mount": .ignore,
    // pam_radius src/pam_radius_auth.c.
    "pam_radius_auth": .success,
  ]

  /// Modules that look the user up: expired passwords and accounts, unknown users, and unreachable servers.
  static let directories: [String: [PAMResult]] = [
    // pam_unix_acct.c, passverify.c.
    "pam_unix": [
      .success, .newTokenRequired, .accountExpired, .tokenExpired, .userUnknown, .informationUnavailable,
    ],
    // SSSD src/sss_client/pam_sss.c, src/providers/ldap/ldap_access.c.
    "pam_sss": [
      .success, .userUnknown, .permissionDenied, .accountExpired, .newTokenRequired, .informationUnavailable,
    ],
    // Samba nsswitch/pam_winbind.c.
    "pam_winbind": [.success, .userUnknown, .newTokenRequired, .accountExpired, .systemError, .ignore],
    // nss-pam-ldapd pam/pam.c.
    "pam_ldap": [
      .success, .userUnknown, .newTokenRequired, .accountExpired, .permissionDenied, .informationUnavailable,
    ],
    // pam-krb5 module/account.c; ignores users without a Kerberos ticket.
    "pam_krb5": [.success, .ignore, .newTokenRequired, .authenticationError, .userUnknown],
    // systemd src/home/pam_systemd_home.c.
    "pam_systemd_home": [
      .success, .userUnknown, .newTokenRequired, .tokenExpired, .accountExpired, .permissionDenied,
    ],
    // pam_loginuid.c; ignores containers.
    "pam_loginuid": [.success, .ignore],
    // pam_slurm_adopt(8): whether the user has a job on the host.
    "pam_slurm": [.success, .permissionDenied, .ignore],
    "pam_slurm_adopt": [.success, .permissionDenied, .ignore],
    // pam_geoip(8).
    "pam_geoip": [.success, .permissionDenied],
  ]

  /// Any other module that checks passwords.
  static let directory: [PAMResult] = [
    .success, .userUnknown, .newTokenRequired, .accountExpired, .permissionDenied, .informationUnavailable, .ignore,
  ]

  /// Modules that return the same result as for authentication.
  static let likeAuthentication: Set<String> = [
    "pam_access", "pam_echo", "pam_lastlog", "pam_listfile", "pam_localuser", "pam_nologin", "pam_script",
    "pam_selinux_permit", "pam_sepermit", "pam_shells", "pam_succeed_if", "pam_usertype", "pam_wheel",
  ]

  /// Modules without pam_sm_acct_mgmt(3), by the symbols of Debian's packages.
  static let withoutAccounts: Set<String> = [
    "pam_apparmor", "pam_cap", "pam_cgfs", "pam_cracklib", "pam_elogind", "pam_faildelay", "pam_fprintd", "pam_ftp",
    "pam_gnome_keyring", "pam_google_authenticator", "pam_group", "pam_issue", "pam_keyinit", "pam_limits", "pam_mail",
    "pam_mkhomedir", "pam_motd", "pam_namespace", "pam_oath", "pam_passwdqc", "pam_pwhistory", "pam_pwquality",
    "pam_rhosts", "pam_selinux", "pam_setquota", "pam_systemd", "pam_timestamp", "pam_tty_audit", "pam_umask",
    "pam_xauth",
  ]
}
