import LoginPolicy

/// The documentation of each option, in Markdown: code in backquotes, emphasis in asterisks, manual pages as sshd(8).
///
/// The names of options, the values that they accept and their places are in `PolicyOption`.
extension PolicyOption {
  /// What the option does, for every page.
  var summary: String {
    switch self {
    case .nullok: "Users who are *proved* not to be enrolled pass without a code (PAM_IGNORE)."
    case .store:
      "Where enrollments are stored: `home` is `~/.twofactor`, `host` is `/var/lib/twofactor/users/%U`, which the user's own programs cannot read; `postgresql` is a database for several hosts."
    case .directory:
      "The directory of an enrollment. `~` and `%h` stand for the home directory, `%u` for the user name, `%U` for the numeric user ID, `%%` for a percent sign. Outside the home directories, as in `/var/lib/twofactor/%u`, the directory and its files may belong to root."
    case .owner:
      "The account that owns the enrollments of a `directory` outside the home directories, for a service account that checks the codes of other users. The module runs as root or as this account, and opens the enrollments with its identity. Root enrolls the users."
    case .shared:
      "Other hosts use the enrollments, too, on a network file system such as NFS. If the kernel reports that locks do not reach the other hosts, the login is refused. An enrollment that is absent on a network file system proves that the user is not enrolled, even if the register of this host names the user."
    case .conf:
      "A configuration file to read instead of the default one. It must exist, be owned by root, and be writable by root alone."
    case .prompt: "The prompt for the code."
    case .echoCode: "Show the code as it is typed."
    case .tryFirstPass:
      "For programs with a single password field: look for a code at the end of the password that an earlier module asked for, and prompt if there is no correct one."
    case .useFirstPass: "The same as `try_first_pass`, but never prompt."
    case .forwardPass: "Ask for password and code in one reply, and pass the password on to the next module."
    case .window: "Time steps accepted before and after the current one."
    case .lookAhead: "Counters ahead of the expected one that are accepted from an HOTP device."
    case .maxFailures:
      "The number of consecutive wrong codes after which codes are throttled. Codes are then refused for 30 seconds, and twice as long after each further failure, up to 15 minutes. After 100 consecutive failures, codes are locked until the user types a backup code or root runs `twofactor unlock`. A backup code is always tried."
    case .backupCodes: "Accept backup codes."
    case .gracePeriod:
      "The number of seconds during which a login needs no new code after the same user passed the same service with a code from the same numeric remote address. Eight addresses are remembered. No grace period applies while codes are throttled or locked."
    case .trustedNetworks:
      "Do not ask for a code if the remote address is numeric (IPv4 or IPv6) and in one of these networks."
    case .onlyGroups:
      "Ask only the members of these groups for a code, and every user who is enrolled. User names without an account are asked too. Groups are names or numbers, primary or supplementary. A group that does not exist is a configuration error."
    case .exemptGroups:
      "Do not ask the members of these groups for a code. Groups are names or numbers, primary or supplementary. A group that does not exist is a configuration error."
    case .skipAfter:
      "Do not ask for a code if sshd(8) reports that the login already passed one of these authentication methods, such as `gssapi-with-mic`. Applies to the service `sshd` only."
    case .requireMethod:
      "Refuse the login, without a question, unless sshd(8) reports that it already passed one of these authentication methods, such as `publickey`. For PAM stacks that check no password. Only the service `sshd` reports methods: every login through another service is refused."
    case .requiredFrom:
      "The day (UTC) from which users must be enrolled. Before it, users who are proved not to be enrolled pass with a reminder. From that day on, `nullok` has no effect."
    case .enroll:
      "Enroll users at login, in the account phase, if they are proved not to be enrolled and their authentication succeeded. With `offer` the user may decline, with `require` the login is refused without an enrollment. Needs the rule `account required pam_twofactor.so` in the PAM stack. If `required_from` is set, both values mean `offer` before that day, and `require` from that day on."
    case .enrollNetworks:
      "Enroll users at login only if the remote address is numeric (IPv4 or IPv6) and in one of these networks. If enrollment is required, other logins of users who are not enrolled are refused."
    case .debug:
      "Log an additional line, with priority debug, with the main options and the account of each login, and one with the reason if a user is not asked. Secrets, codes and passwords are never logged."
    case .issuer: "The name of the organization or host that the app shows beside the code."
    case .requirePassword: "Ask for the password of the account before an enrollment is shown or changed."
    case .allowDisable:
      "Let users disable two-factor themselves. They cannot from the day of `required_from` on, or if that is not set, with `enroll = require`."
    case .notify:
      "A program such as `/usr/sbin/sendmail` that sends a mail to the user when two-factor is enabled or disabled, a device is added or removed, or backup codes are replaced."
    }
  }

  /// What only the manual pages say, after the summary.
  var details: String? {
    switch self {
    case .nullok:
      "If the home directory is missing, unreadable or owned by another account, or if the enrollment directory exists but is damaged, the login is refused. It is also refused if the enrollment is absent, but the register of enrolled users names the user or the home directory is encrypted with fscrypt and locked."
    case .store:
      "In the host store, users enroll themselves as in the home; `twofactor` changes the enrollment through the setgid program `twofactor-helper`. A module that does not run as root, as in a screen locker, lets the helper check the code, with the options of `twofactor.conf`; so set `store` there. With `postgresql`, the program `twofactor-store-postgresql` of the package with the same name asks the database; if no server answers, users who need a code are refused. `twofactor move` moves existing enrollments. `directory` overrides this option."
    case .directory: "The path begins with `/`, `~/` or `%h/`."
    case .owner:
      "The owner can read the keys of all these users. The directory must exist and belong to the owner. Needs a `directory` that begins with `/`."
    case .shared:
      "Without this option, a code can be used once on each host if the mount options keep locks local. Set it on every host, in `twofactor.conf`. `twofactor doctor` examines the file systems."
    case .conf: "Only the default file may be missing."
    case .prompt:
      "With `forward_pass` the default is `Password & verification code: `. In a PAM configuration file, enclose an argument that contains blanks in brackets: `[prompt=Code from the app: ]`."
    case .tryFirstPass:
      "The code is a backup code, or has as many digits as the codes of one of the user's devices. A wrong code counts as one failure. If the password itself ends in six digits and the user types no code after it, those digits count as a wrong code."
    case .forwardPass:
      "Give the next module its own argument `use_first_pass`, so that it does not prompt. The password is passed on even if the code was wrong. Users who are exempt or not enrolled are asked for the password too, and it is passed on. If an exempt user is enrolled and types a code after the password, a right code is used up and cut off, and a wrong one is left in the password and not counted. Together with `try_first_pass` or `use_first_pass`, the module looks for the code in the password that an earlier module asked for, and passes on the part before the code."
    case .maxFailures:
      "A reused code, an empty reply, a reply that is not a code, and ten characters that are no backup code are refused but not counted. Six and eight digits always count. Imported scratch codes are tried while codes are throttled, until 100 of them were wrong."
    case .gracePeriod:
      "A ninth address replaces the one used longest ago. A login without an address, with a host name, or through one of the services that `trusted_networks` does not apply to, always needs a code. `twofactor disable`, `twofactor backup-codes` and `twofactor device remove` end the grace period, and so does a clock that is set back. With 0, every login needs a code."
    case .trustedNetworks:
      "An example is `192.0.2.0/24,2001:db8::/32`. An IPv4-mapped IPv6 address counts as IPv4. Does not apply to the services `login`, `remote`, `telnet`, `rlogin`, `rsh`, `rexec` and `ftp`, whose programs may report a host name, which can look like an address."
    case .onlyGroups:
      "The prompt for unknown names hides which accounts exist. If the groups of the user cannot be looked up, the login is refused. Some name services answer with too few groups when they fail; therefore a user in none of the groups passes only if proved not to be enrolled, as with `nullok`, or if the home directory cannot be used and the register does not name the user."
    case .exemptGroups: "If the groups of the user cannot be looked up, the login is refused."
    case .skipAfter:
      "A method that is also in `require_method` is enough to log in: a login that passed it is asked for no code."
    case .requireMethod:
      "It is checked first: no other option lets a login pass that has none of these methods. Set it for the one service that needs it, not in `twofactor.conf`. Do not name a method that sshd checks with PAM, such as `password`: sshd reports it only after PAM has accepted the login."
    case .enroll:
      "Such users pass the authentication without a code, as with `nullok`. A service without the account rule, or a program that skips the account phase, therefore lets them in with the password alone; `twofactor doctor` names services without the rule. A login that skips the authentication of PAM, as with a public key alone, is not asked to enroll."
    case .enrollNetworks:
      "A login without a remote address, as at the console or with sudo(8), is in no network."
    case .notify:
      "It runs as the user, without a terminal, with the arguments `-i` and the user name, and reads the mail from standard input."
    case .echoCode, .useFirstPass, .window, .lookAhead, .backupCodes, .requiredFrom, .debug, .issuer,
      .requirePassword, .allowDisable:
      nil
    }
  }

  /// The name of the value in a synopsis; nil for a flag.
  var placeholder: String? {
    switch self {
    case .nullok, .shared, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .debug, .backupCodes,
      .requirePassword, .allowDisable:
      nil
    case .store: "home|host|postgresql"
    case .enroll: "no|offer|require"
    case .directory: "path"
    case .owner: "account"
    case .conf, .notify: "file"
    case .prompt, .issuer: "text"
    case .window, .lookAhead, .maxFailures: "n"
    case .gracePeriod: "seconds"
    case .trustedNetworks, .enrollNetworks: "network,..."
    case .onlyGroups, .exemptGroups: "group,..."
    case .skipAfter, .requireMethod: "method,..."
    case .requiredFrom: "YYYY-MM-DD"
    }
  }

  /// A value for the sample file, if the option has no default.
  var example: String? {
    switch self {
    case .trustedNetworks, .enrollNetworks: "192.0.2.0/24,2001:db8::/32"
    case .onlyGroups: "wheel,staff"
    case .exemptGroups: "backup"
    case .skipAfter: "gssapi-with-mic"
    case .requireMethod: "publickey"
    case .requiredFrom: "2027-01-31"
    case .issuer: "Example Ltd"
    case .notify: "/usr/sbin/sendmail"
    default: nil
    }
  }
}
