package enum PAMService {
  /// Checks passwords for the command.
  package static let password = "twofactor"

  /// A file in the first folder overrides one in the second.
  package static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]
}
