public import FixedMemory

/// Documentation of the options. The tables in `pam/options.md` are generated from it; tests compare the manual pages and
/// the sample `twofactor.conf` with it.
extension PolicyOption {
  /// The default as it would be written; nil if the option has none.
  public var defaultValue: Literal? {
    switch self {
    case .nullok, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .debug: "no"
    case .backupCodes, .requirePassword, .allowDisable: "yes"
    case .directory: "~/.twofactor"
    case .conf: PolicyFile.usualPath
    case .prompt: "Verification code: "
    case .window: "1"
    case .lookAhead: "10"
    case .maxFailures: "5"
    case .gracePeriod: "0"
    case .trustedNetworks, .onlyGroups, .exemptGroups, .skipAfter, .requiredFrom, .issuer, .notify: nil
    }
  }

  /// The placeholder for the value in a synopsis; nil for a flag that may be given without a value.
  public var placeholder: Literal? {
    switch self {
    case .nullok, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .debug: nil
    case .backupCodes, .requirePassword, .allowDisable: "yes/no"
    case .directory: "PATH"
    case .conf, .notify: "FILE"
    case .prompt, .issuer: "TEXT"
    case .window, .lookAhead, .maxFailures: "N"
    case .gracePeriod: "SECONDS"
    case .trustedNetworks: "CIDR,…"
    case .onlyGroups, .exemptGroups: "GROUP,…"
    case .skipAfter: "METHOD,…"
    case .requiredFrom: "YYYY-MM-DD"
    }
  }

  /// What the option does, as Markdown for a table cell. ``kind`` has the range.
  public var help: Literal {
    switch self {
    case .nullok:
      "pass a user who is *proved* not to be enrolled (PAM_IGNORE); a home directory that is missing, unreadable or owned by another account proves nothing"
    case .directory:
      "the directory of an enrollment; `~` and `%h` are the home directory, `%u` the user name, `%%` a percent sign; outside the home directory root may own it"
    case .conf: "the configuration file; it must exist, be owned by root, and be writable by root alone"
    case .prompt: "the prompt"
    case .echoCode: "show the code as it is typed"
    case .tryFirstPass:
      "look for a code at the end of the password that an earlier module asked for, and prompt if there is no correct one"
    case .useFirstPass: "the same, but never prompt"
    case .forwardPass: "ask for password and code in one reply, and hand the password to the next module"
    case .window: "time steps accepted before and after the current one"
    case .lookAhead: "counters accepted after the expected one, for HOTP devices"
    case .maxFailures:
      "wrong codes in a row before throttling (30 seconds, doubling up to 15 minutes); after 100, a lockout until a backup code or `twofactor unlock`; a backup code is always tried"
    case .backupCodes: "accept backup codes"
    case .gracePeriod:
      "ask for no new code if the same user passed the same service from the same numeric remote address at most this long ago; for eight addresses, and not during throttling"
    case .trustedNetworks: "ask for no code from these numeric addresses, IPv4 and IPv6"
    case .onlyGroups:
      "ask only the members of these groups, and users who do not exist; groups are names or numbers, and an unknown one is a configuration error"
    case .exemptGroups: "do not ask the members of these groups"
    case .skipAfter:
      "ask for no code if sshd reports that the login passed one of these methods, such as `gssapi-with-mic`; for the service `sshd` only"
    case .requiredFrom:
      "before that day (UTC), a user who is not enrolled passes with a reminder; from that day on, `nullok` has no effect"
    case .debug: "log more, but never a secret, a code or a password"
    case .issuer: "the name of the host or organization that the app shows; the host name by default"
    case .requirePassword: "ask for the account password before anything is shown or changed"
    case .allowDisable:
      "let users disable two-factor authentication themselves, until the day of `required_from`"
    case .notify:
      "a mail program such as `/usr/sbin/sendmail`, run as the user after two-factor is enabled or disabled and after new backup codes are created"
    }
  }
}
