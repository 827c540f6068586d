public import FixedMemory

/// What people read about an option. The README, the manual pages and the sample of `twofactor.conf` are held to it.
extension PolicyOption {
  /// The value that holds where nobody gives one, as it would be written; nil where there is none.
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

  /// What stands for the value in a synopsis; nil for a flag, which may stand alone.
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

  /// What it does, in the Markdown of a table's cell. The range is said by ``kind``.
  public var help: Literal {
    switch self {
    case .nullok:
      "a user who is *proved* not to be enrolled passes (PAM_IGNORE); a home that is missing, unreadable or not the user's own is no proof"
    case .directory:
      "where the enrolment lies; `~` and `%h` home, `%u` user name, `%%` percent; outside the home it may be root's"
    case .conf: "another configuration of the host, which must be there; root's, and writable by root alone"
    case .prompt: "what the user is asked with"
    case .echoCode: "show the code as it is typed"
    case .tryFirstPass:
      "look for the code at the end of the password that was asked for before, and ask where there is none"
    case .useFirstPass: "the same, but never ask"
    case .forwardPass: "ask for password and code in one line, and hand the password on to the next module"
    case .window: "time steps accepted before and after the current one"
    case .lookAhead: "counters ahead accepted for HOTP tokens"
    case .maxFailures:
      "wrong codes in a row before codes are refused for 30 s, doubling to 15 min; at 100 they are locked until a backup code or `twofactor unlock`; a backup code is always tried"
    case .backupCodes: "whether backup codes are accepted"
    case .gracePeriod:
      "no new code from a numeric remote address that passed this long ago, for the same user and service; eight addresses, and none while codes are refused"
    case .trustedNetworks: "no code from these numeric addresses, IPv4 and IPv6"
    case .onlyGroups:
      "ask the members of these groups alone, by name or number, and users who do not exist; an unknown group refuses"
    case .exemptGroups: "do not ask the members of these groups"
    case .skipAfter:
      "no code where sshd says that the login has passed one of these, as `gssapi-with-mic`; for the service `sshd` alone"
    case .requiredFrom:
      "before that day (UTC) a user who is not enrolled passes with a reminder; from that day `nullok` no longer holds"
    case .debug: "log more; never a secret, a code or a password"
    case .issuer: "who asks for the code, as the app shows it; the name of the host where it is not given"
    case .requirePassword: "ask for the account's password before anything is shown or changed"
    case .allowDisable: "let users switch two-factor off themselves; not from the day of `required_from` on"
    case .notify:
      "a program such as `/usr/sbin/sendmail` that is told, as the user, of activation, deactivation and new backup codes"
    }
  }
}
