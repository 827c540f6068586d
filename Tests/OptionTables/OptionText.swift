import LoginPolicy

/// The documentation of each option, in Markdown: code in backquotes, emphasis in asterisks, manual pages as sshd(8).
///
/// The names of options, the values that they accept and their places are in `PolicyOption`.
extension PolicyOption {
  /// What the option does, for every page.
  var summary: String {
    switch self {
    case .nullok: "A user who is *proved* not to be enrolled passes without a code (PAM_IGNORE)."
    case .directory:
      "The directory of an enrollment. `~` and `%h` stand for the home directory, `%u` for the user name, `%%` for a percent sign. Outside the home directories, as in `/var/lib/twofactor/%u`, root may own the directory."
    case .conf: "The configuration file of the host. It must exist, be owned by root, and be writable by root alone."
    case .prompt: "The prompt for the code."
    case .echoCode: "Show the code as it is typed."
    case .tryFirstPass:
      "For programs with a single password field: look for a code at the end of the password that an earlier module asked for, and prompt if there is no correct one."
    case .useFirstPass: "The same as `try_first_pass`, but never prompt."
    case .forwardPass: "Ask for password and code in one reply, and hand the password to the next module."
    case .window: "Time steps accepted before and after the current one."
    case .lookAhead: "Counters ahead of the expected one that are accepted from an HOTP device."
    case .maxFailures:
      "Consecutive wrong codes before throttling. Throttling refuses codes for 30 seconds, and twice as long after each further failure, up to 15 minutes. After 100 consecutive failures, codes are locked until the user types a backup code or root runs `twofactor unlock`. A backup code is always tried."
    case .backupCodes: "Accept backup codes."
    case .gracePeriod:
      "Seconds during which a login needs no new code if the same user passed the same service from the same numeric remote address. Eight addresses are remembered. While codes are throttled, every login needs a code."
    case .trustedNetworks: "Ask for no code from numeric addresses, IPv4 and IPv6, in these networks."
    case .onlyGroups:
      "Ask only the members of these groups, and users who do not exist. Groups are names or numbers, primary or supplementary. A group that does not exist is a configuration error."
    case .exemptGroups:
      "Do not ask the members of these groups. Groups are names or numbers, primary or supplementary. A group that does not exist is a configuration error."
    case .skipAfter:
      "Ask for no code if sshd(8) reports that the login already passed one of these methods, such as `gssapi-with-mic`. Applies to the service `sshd` only."
    case .requiredFrom:
      "Before that day (UTC) a user who is not enrolled passes, and sees a reminder. From that day on, `nullok` has no effect."
    case .debug: "Log more. Secrets, codes and passwords are never logged."
    case .issuer: "The issuer that the app shows for the code."
    case .requirePassword: "Ask for the password of the account before an enrollment is shown or changed."
    case .allowDisable:
      "Let users disable two-factor themselves. From the day of `required_from` on they cannot, because no login would accept them afterwards."
    case .notify:
      "A program such as `/usr/sbin/sendmail` that receives a mail to the user when two-factor is enabled or disabled, a device is added or removed, or backup codes are replaced."
    }
  }

  /// What only the manual pages say, after the summary.
  var details: String? {
    switch self {
    case .nullok:
      "A home directory that is missing, unreadable or owned by another account proves nothing, and neither does an enrollment directory that exists but is damaged."
    case .directory: "The path is absolute or begins with the home directory."
    case .conf: "Only the default file may be missing."
    case .prompt:
      "With `forward_pass` the default is `Password & verification code: `. In a PAM configuration file, enclose an argument that contains blanks in brackets: `[prompt=Code from the app: ]`."
    case .tryFirstPass:
      "The code is a backup code, or has as many digits as the codes of one of the user's devices. A wrong code counts as one failure. A password whose own last characters are six digits counts as a wrong code if no code follows them."
    case .forwardPass:
      "Give that module the argument `try_first_pass` of its own, so that it asks for the password itself if this module asked for nothing. The password is forwarded even if the code was wrong. Combined with `try_first_pass` or `use_first_pass`, the module forwards the part of the earlier password before the code."
    case .maxFailures:
      "A reused code, an empty reply, and a reply that is not a code are refused but not counted. Of imported scratch codes, at most 100 wrong ones are tried while codes are throttled."
    case .gracePeriod:
      "A new address replaces the one used longest ago. A login without an address, or with a host name, always needs a code. The period ends if the clock is set back, and on `twofactor disable`, `twofactor backup-codes` and `twofactor device remove`. With 0, every login needs a code."
    case .trustedNetworks: "An example is `192.0.2.0/24,2001:db8::/32`."
    case .onlyGroups, .exemptGroups: "If groups cannot be looked up, the login is refused."
    case .notify: "It runs as the user and without a terminal."
    case .echoCode, .useFirstPass, .window, .lookAhead, .backupCodes, .skipAfter, .requiredFrom, .debug, .issuer,
      .requirePassword, .allowDisable:
      nil
    }
  }

  /// The name of the value in a synopsis; nil for a flag.
  var placeholder: String? {
    switch self {
    case .nullok, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .debug, .backupCodes, .requirePassword,
      .allowDisable:
      nil
    case .directory: "path"
    case .conf, .notify: "file"
    case .prompt, .issuer: "text"
    case .window, .lookAhead, .maxFailures: "n"
    case .gracePeriod: "seconds"
    case .trustedNetworks: "network,..."
    case .onlyGroups, .exemptGroups: "group,..."
    case .skipAfter: "method,..."
    case .requiredFrom: "YYYY-MM-DD"
    }
  }

  /// A value for the sample file, if the option has no default.
  var example: String? {
    switch self {
    case .trustedNetworks: "192.0.2.0/24,2001:db8::/32"
    case .onlyGroups: "wheel,staff"
    case .exemptGroups: "backup"
    case .skipAfter: "gssapi-with-mic"
    case .requiredFrom: "2027-01-31"
    case .issuer: "Example Ltd"
    case .notify: "/usr/sbin/sendmail"
    default: nil
    }
  }
}
