package enum PAMService {
  /// Checks passwords for the command.
  package static let password = "twofactor"

  /// A file in the first folder overrides one in the second.
  package static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]

  /// Whether users log in through the service. Excludes files that other services include, and services of programs
  /// that only open sessions or change passwords.
  package static func isForLogins(_ service: String) -> Bool {
    !others.contains(service) && !["common-", "system-", "base-"].contains { service.hasPrefix($0) }
  }

  private static let others: Set<String> = [
    password, "other", "password-auth", "fingerprint-auth", "smartcard-auth", "postlogin", "config-util", "atd", "cron",
    "crond", "chpasswd", "newusers", "passwd", "systemd-user",
  ]
}
