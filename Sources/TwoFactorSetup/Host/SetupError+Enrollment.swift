import Enrollment
import FixedMemory
import Glibc
import HostAccess

extension SetupError {
  /// `directory` is that of the enrollment, or its template.
  init(_ failure: EnrollmentFailure, directory: String) {
    var text = ByteText(capacity: 255)
    failure.describe(into: &text)
    let message = "\(directory): \(String(decoding: text.bytes).loweredFirst)"
    switch failure.reason {
    case .absent: self.init(.refused, "two-factor is not on", hint: "switch it on with: twofactor enable")
    case .missing: self.init(.unusableData, message, hint: "mount or unlock the home directory, then try again")
    case .gone: self.init(.refused, "two-factor was switched off meanwhile")
    case .insecure where failure.error == .isDirectory:
      self.init(.unusableData, message, hint: "remove it: rm -r \(directory)/\(failure.subject.description)")
    case .insecure:
      self.init(.unusableData, message, hint: "no login accepts it; check its owner and its mode")
    case .corrupt:
      self.init(.unusableData, message, hint: "create a new enrollment with: twofactor enable --force")
    case .configuration: self.init(.configuration, message, hint: "see directory in /etc/security/twofactor.conf")
    case .io:
      switch failure.error?.rawValue {
      case EACCES, EPERM:
        self.init(
          .notPermitted, message, hint: "only root can change it: run the command as root with --user NAME")
      case EEXIST, ENOTEMPTY:
        self.init(.refused, message, hint: "another twofactor command may be running; check with: twofactor status")
      default: self.init(.inputOutput, message)
      }
    }
  }
}

extension String {
  /// Keeps names such as `NFS`.
  fileprivate var loweredFirst: String {
    dropFirst().first?.isUppercase == true ? self : prefix(1).lowercased() + dropFirst()
  }
}

/// The user declined, did not store the backup codes, or typed only wrong codes: no error of the host.
struct GivenUp: Error {
  let reason: SetupError
}

extension SetupError {
  var sentences: String { Self.sentence(message) + (hint.map { " " + Self.sentence($0) } ?? "") }

  private static func sentence(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() + "." }

  var text: String {
    var text = "twofactor: \(message.printable)\n"
    if let hint { text += "hint: \(hint.printable)\n" }
    return text
  }

  /// The output of `--json` on standard error.
  var json: JSONValue { .object([("error", .string(message)), ("hint", .optional(hint))]) }
}
