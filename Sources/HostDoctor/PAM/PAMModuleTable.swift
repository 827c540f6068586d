/// A module that checks passwords.
struct PasswordModule {
  /// When a module takes a password from `PAM_AUTHTOK`, or stores one there.
  enum Condition {
    case always
    /// With `use_first_pass` or `try_first_pass`, or with `forward_pass`.
    case onRequest
    case never
  }

  var takes = Condition.always
  var stores = Condition.always
  /// The argument that makes it fail if there is no earlier password; nil if it always prompts then.
  var insisting: String? = "use_first_pass"
  /// The result in that case.
  var missing = PAMResult.authenticationError
  var refused = PAMResult.authenticationError
  /// The results for an unknown user, and if its server is unreachable.
  var unknown = [PAMResult.userUnknown]
  /// Whether it prompts for a password before it looks up the user.
  var asksUnknownUsers = true
  /// When it prompts again because the earlier password is wrong; `onRequest` means `try_first_pass`.
  var asksAgain = Condition.never
  /// Whether pam_sm_setcred(3) returns the result of authentication.
  var repeatsResult = false
}

/// A module that checks a fingerprint, a card or a key.
struct FactorModule {
  /// The results for a user without such a factor.
  var unavailable: [PAMResult]
  var refused = PAMResult.authenticationError
}

/// A module of another program that checks codes.
struct CodeModule {
  /// Whether it finds a code at the end of a password.
  enum Splitting {
    case never
    /// Always in an earlier password, in a reply only with `forward_pass`.
    case forwarding
    /// With `digits=`.
    case withDigits
    case always
  }

  /// The results for a user without a key.
  var unavailable: [PAMResult]
  var refused = PAMResult.authenticationError
  var splitting = Splitting.never
  /// Whether it supports `use_first_pass` and `try_first_pass`. If not, it prompts in its own way.
  var takesEarlier = false
  /// Whether it prompts for a code if the earlier password contains no right one.
  var asksAgain = false
}

/// What modules return, according to their sources or manual pages. Throttling and failures of the host, such as
/// exhausted memory, are left out, because they refuse right replies in every stack.
enum PAMModuleTable {
  typealias Results = (authentication: PAMResult, credentials: PAMResult)

  static let passwords: [String: PasswordModule] = [
    // Linux-PAM modules/pam_unix: support.c. A user of a name service without a shadow entry counts as unknown.
    "pam_unix": PasswordModule(unknown: [.userUnknown, .informationUnavailable, .authenticationError]),
    // SUSE pam_unix2(8), ALT pam_tcb(8).
    "pam_unix2": PasswordModule(takes: .onRequest),
    "pam_tcb": PasswordModule(takes: .onRequest),
    // SSSD src/sss_client/pam_sss.c.
    "pam_sss": PasswordModule(stores: .onRequest, unknown: [.userUnknown, .informationUnavailable]),
    // nss-pam-ldapd pam/pam.c.
    "pam_ldap": PasswordModule(unknown: [.userUnknown, .informationUnavailable]),
    // pam-krb5 module/auth.c.
    "pam_krb5": PasswordModule(
      takes: .onRequest, insisting: "force_first_pass", unknown: [.userUnknown, .informationUnavailable],
      asksAgain: .onRequest),
    // Samba nsswitch/pam_winbind.c.
    "pam_winbind": PasswordModule(
      takes: .onRequest, missing: .tokenError, unknown: [.userUnknown, .informationUnavailable]),
    // systemd src/home/pam_systemd_home.c; gives up after five attempts.
    "pam_systemd_home": PasswordModule(refused: .maximumTries, asksUnknownUsers: false, asksAgain: .always),
    // libpam-pwdfile pam_pwdfile.c.
    "pam_pwdfile": PasswordModule(),
    // Linux-PAM modules/pam_userdb/pam_userdb.c.
    "pam_userdb": PasswordModule(takes: .onRequest, missing: .tokenRecoveryError),
    // pam_mysql README; pam_pgsql README.
    "pam_mysql": PasswordModule(takes: .onRequest, unknown: [.userUnknown, .informationUnavailable]),
    "pam_pgsql": PasswordModule(takes: .onRequest, unknown: [.userUnknown, .informationUnavailable]),
    // pam_radius src/pam_radius_auth.c; the server does not report unknown users.
    "pam_radius_auth": PasswordModule(unknown: [.authenticationError, .informationUnavailable], repeatsResult: true),
    // pam_tacplus pam_tacplus.c, support.c.
    "pam_tacplus": PasswordModule(
      takes: .onRequest, missing: .credentialsInsufficient, unknown: [.authenticationError, .informationUnavailable]),
    // Kanidm unix_integration/pam_sparkle_common/src/core.rs.
    "pam_kanidm": PasswordModule(
      takes: .onRequest, stores: .never, insisting: nil, unknown: [.userUnknown, .ignore], asksUnknownUsers: false),
    "pam_sparkle": PasswordModule(
      takes: .onRequest, stores: .never, insisting: nil, unknown: [.userUnknown, .ignore], asksUnknownUsers: false),
    // Himmelblau src/pam/src/pam/mod.rs.
    "pam_himmelblau": PasswordModule(
      takes: .onRequest, stores: .never, insisting: nil, unknown: [.ignore, .userUnknown], asksUnknownUsers: false),
    // authd debian/pam-configs; returns `ignore` for the users of other modules.
    "pam_authd": PasswordModule(takes: .never, stores: .never, unknown: [.ignore], asksUnknownUsers: false),
    "pam_authd_exec": PasswordModule(takes: .never, stores: .never, unknown: [.ignore], asksUnknownUsers: false),
    // Closed or unread sources; assumed to call pam_get_authtok(3).
    "pam_aad": PasswordModule(unknown: [.userUnknown, .ignore]),
    "pam_lsass": PasswordModule(unknown: [.userUnknown, .ignore]),
    "pam_centrifydc": PasswordModule(unknown: [.userUnknown, .ignore]),
    "pam_vas3": PasswordModule(unknown: [.userUnknown, .ignore]),
  ]

  static let factors: [String: FactorModule] = [
    // fprintd pam/pam_fprintd.c.
    "pam_fprintd": FactorModule(unavailable: [.informationUnavailable], refused: .maximumTries),
    "pam_fprintd_grosshack": FactorModule(unavailable: [.informationUnavailable], refused: .maximumTries),
    // pam-u2f pam-u2f.c, util.c.
    "pam_u2f": FactorModule(unavailable: [.userUnknown, .informationUnavailable]),
    // pam_pkcs11 src/pam_pkcs11/pam_pkcs11.c.
    "pam_pkcs11": FactorModule(unavailable: [.informationUnavailable, .credentialsInsufficient, .ignore]),
    // pam_p11 src/pam_p11.c.
    "pam_p11": FactorModule(unavailable: [.informationUnavailable, .userUnknown, .noModuleData]),
    // pam_poldi(8): Poldi's documentation.
    "pam_poldi": FactorModule(unavailable: [.userUnknown, .informationUnavailable, .authenticationError]),
    // pam_ssh_agent_auth(8).
    "pam_ssh_agent_auth": FactorModule(unavailable: [.authenticationError]),
    "pam_rssh": FactorModule(unavailable: [.authenticationError]),
    "pam_ussh": FactorModule(unavailable: [.authenticationError]),
    // pam_sss_gss(8): a Kerberos ticket.
    "pam_sss_gss": FactorModule(unavailable: [.userUnknown, .authenticationError, .informationUnavailable]),
    // README of Howdy; README of pam_usb.
    "pam_howdy": FactorModule(unavailable: [.authenticationError, .informationUnavailable, .ignore]),
    "pam_usb": FactorModule(unavailable: [.authenticationError, .ignore]),
  ]

  static let codes: [String: CodeModule] = [
    // google-authenticator-libpam src/pam_google_authenticator.c.
    "pam_google_authenticator": CodeModule(
      unavailable: [.authenticationError], splitting: .forwarding, takesEarlier: true, asksAgain: true),
    // OATH Toolkit pam_oath/pam_oath.c.
    "pam_oath": CodeModule(unavailable: [.userUnknown], splitting: .withDigits, takesEarlier: true),
    // yubico-pam pam_yubico.c.
    "pam_yubico": CodeModule(
      unavailable: [.userUnknown, .informationUnavailable], splitting: .always, takesEarlier: true),
    // duo_unix pam_duo/pam_duo.c.
    "pam_duo": CodeModule(unavailable: [.serviceError], refused: .maximumTries),
    // pam_otpw(8); README of Barada.
    "pam_otpw": CodeModule(unavailable: [.informationUnavailable]),
    "pam_barada": CodeModule(unavailable: [.userUnknown, .authenticationError]),
    "pam_securid": CodeModule(unavailable: [.userUnknown, .authenticationError]),
  ]

  /// Modules with the same result for every user who is not root. Source, unless noted: Linux-PAM modules/NAME/NAME.c.
  static let constants: [String: Results] = [
    "pam_permit": (.success, .success),
    "pam_deny": (.authenticationError, .credentialsError),
    "pam_env": (.ignore, .success),
    "pam_faildelay": (.ignore, .ignore),
    "pam_group": (.ignore, .success),
    "pam_issue": (.ignore, .ignore),
    "pam_keyinit": (.ignore, .success),
    "pam_mail": (.ignore, .success),
    "pam_securetty": (.success, .success),
    "pam_selinux": (.authenticationError, .success),
    // Succeeds only in a process of root, such as su(1) run by root.
    "pam_rootok": (.authenticationError, .success),
    "pam_warn": (.ignore, .ignore),
    // Linux-PAM before 1.4, pam_tally2(8).
    "pam_tally": (.success, .success),
    "pam_tally2": (.success, .success),
    // util-linux pam_lastlog2/src/pam_lastlog2.c.
    "pam_lastlog2": (.ignore, .ignore),
    // gnome-keyring pam/gkr-pam-module.c; without a password, the keyring stays locked.
    "pam_gnome_keyring": (.success, .success),
    // ecryptfs-utils src/pam_ecryptfs/pam_ecryptfs.c; fscrypt pam_fscrypt/pam_fscrypt.go.
    "pam_ecryptfs": (.success, .success),
    "pam_fscrypt": (.success, .success),
    // pam-afs-session public.c; pam_abl(8); pam_shield pam_shield.c.
    "pam_afs_session": (.success, .success),
    "pam_abl": (.success, .success),
    "pam_shield": (.ignore, .success),
    // Cockpit src/ws/pam_cockpit_cert.c, src/pam-ssh-add/pam-ssh-add.c.
    "pam_cockpit_cert": (.ignore, .success),
    "pam_ssh_add": (.credentialsInsufficient, .success),
  ]

  /// Modules with one result if a condition of user, host or time is met, and another if not. Source, unless noted:
  /// Linux-PAM modules/NAME/NAME.c.
  static let conditions: [String: (met: PAMResult, unmet: PAMResult, credentials: PAMResult)] = [
    "pam_access": (.success, .permissionDenied, .ignore),
    // GDM pam_gdm/pam_gdm.c: whether the kernel's keyring has the password of the disk.
    "pam_gdm": (.success, .informationUnavailable, .success),
    "pam_lastlog": (.success, .authenticationError, .success),
    "pam_localuser": (.success, .permissionDenied, .success),
    "pam_rhosts": (.success, .authenticationError, .success),
    // pam_script pam_script.c.
    "pam_script": (.success, .authenticationError, .success),
    "pam_shells": (.success, .authenticationError, .success),
    "pam_timestamp": (.success, .authenticationError, .success),
  ]

  /// Modules without pam_sm_authenticate(3), by the symbols of Debian's packages.
  static let withoutAuthentication: Set<String> = [
    "pam_apparmor", "pam_cgfs", "pam_cracklib", "pam_elogind", "pam_geoip", "pam_limits", "pam_loginuid",
    "pam_malcontent", "pam_mkhomedir", "pam_motd", "pam_namespace", "pam_newnet", "pam_passwdqc", "pam_pwhistory",
    "pam_pwquality", "pam_setquota", "pam_slurm", "pam_slurm_adopt", "pam_snapper", "pam_systemd", "pam_time",
    "pam_tty_audit", "pam_umask", "pam_usernet", "pam_xauth",
  ]
}
