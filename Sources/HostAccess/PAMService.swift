/// The PAM services of a host.
package enum PAMService {
  /// The service that checks a password for the command.
  package static let password = "twofactor"

  /// The folders of services. A file in the first overrides one in the second.
  package static let folders = ["/etc/pam.d", "/usr/lib/pam.d"]
}
