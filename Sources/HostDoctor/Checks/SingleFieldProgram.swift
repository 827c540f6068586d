/// A program that replies to every prompt of PAM with the one password that its client sent.
package struct SingleFieldProgram: Equatable {
  package let name: String
  /// The PAM services that it uses by default, in Debian or in Fedora.
  package let services: [String]
  /// The conversation function, in the program's source.
  package let source: String

  private init(_ name: String, _ services: String..., source: String) {
    (self.name, self.services, self.source) = (name, services, source)
  }

  package static let all = [
    Self("Courier", "esmtp", "pop3", "webmail", source: "courier-authlib/authpam.c, pam_conv"),
    Self(
      "Courier, Cyrus or UW IMAP", "imap",
      source: "courier-authlib/authpam.c, pam_conv; saslauthd/auth_pam.c, saslauthd_pam_conv; "
        + "src/osdep/unix/ckp_pam.c, checkpw_conv"),
    Self("CUPS", "cups", source: "scheduler/auth.c, pam_func"),
    Self("Dovecot", "dovecot", source: "src/auth/passdb-pam.c, pam_userpass_conv"),
    Self("ejabberd", "ejabberd", source: "epam, c_src/epam.c, misc_conv"),
    // The reply to the second prompt is empty, unless the configuration contains one.
    Self("Exim", "exim", source: "src/src/miscmods/pam.c, pam_converse"),
    Self("FreeRADIUS", "radiusd", source: "src/modules/rlm_pam/rlm_pam.c, pam_conv"),
    Self("gtklock", "gtklock", source: "src/auth.c, conversation"),
    Self("i3lock", "i3lock", source: "i3lock.c, conv_callback"),
    Self("Netatalk", "netatalk", source: "etc/uams/uams_pam.c, PAM_conv"),
    Self("nginx", "nginx", source: "ngx_http_auth_pam_module.c, ngx_auth_pam_talker"),
    Self("PostgreSQL", "postgresql", source: "src/backend/libpq/auth.c, pam_passwd_conv_proc"),
    Self("pppd", "ppp", source: "pppd/session.c, conversation"),
    Self("ProFTPD", "proftpd", source: "modules/mod_auth_pam.c, pam_exchange"),
    Self("ProFTPD or vsftpd", "ftp", source: "modules/mod_auth_pam.c, pam_exchange"),
    Self("Pure-FTPd", "pure-ftpd", source: "src/log_pam.c, PAM_conv"),
    // For Cyrus IMAP, Postfix and others.
    Self("saslauthd", "lmtp", "pop", "sieve", "smtp", source: "saslauthd/auth_pam.c, saslauthd_pam_conv"),
    Self("SDDM", "sddm", source: "src/daemon/Display.cpp, slotRequestChanged"),
    Self("Squid", "squid", source: "src/auth/basic/PAM/basic_pam_auth.cc, password_conversation"),
    Self("swaylock", "swaylock", source: "pam.c, handle_conversation"),
    Self("TigerVNC", "tigervnc", "vnc", source: "common/rfb/UnixPasswordValidator.cxx, pam_callback"),
    Self("vsftpd", "vsftpd", source: "sysdeputil.c, pam_conv_func"),
    Self("wayvnc", "wayvnc", source: "src/pam_auth.c, pam_return_pwd"),
    Self("xrdp", "xrdp-sesman", source: "sesman/libsesman/verify_user_pam.c, verify_pam_conv"),
  ]

  /// Services of screen lockers that do not call pam_acct_mgmt(3), so users cannot enroll there.
  static let skippingAccounts: Set<String> = ["gtklock", "i3lock", "swaylock"]

  package static func using(_ service: String) -> SingleFieldProgram? { all.first { $0.services.contains(service) } }
}
