import Enrollment
import FixedMemory
import Glibc

extension SetupError {
  /// What a failure of the files of an enrolment means for the person who runs the command.
  ///
  /// - Parameters:
  ///   - failure: The failure.
  ///   - directory: Where the enrolment lies.
  init(_ failure: EnrollmentFailure, directory: String) {
    var text = ByteText(capacity: 255)
    failure.describe(into: &text)
    let message = "\(directory): \(String(decoding: text.bytes).loweredFirst)"
    switch failure.reason {
    case .absent: self.init(.refused, "two-factor is not on", hint: "switch it on with: twofactor enable")
    case .gone: self.init(.refused, "two-factor was switched off meanwhile")
    case .insecure:
      self.init(.unusableData, message, hint: "no login can use it as it is; look at the owner and the mode")
    case .corrupt:
      self.init(.unusableData, message, hint: "make a new enrolment with: twofactor enable --force")
    case .configuration: self.init(.configuration, message, hint: "see directory in /etc/security/twofactor.conf")
    case .io:
      switch failure.error {
      case EACCES, EPERM:
        self.init(
          .notPermitted, message, hint: "a directory outside the home is root's: twofactor … --user NAME, as root")
      case EEXIST, ENOTEMPTY:
        self.init(.refused, message, hint: "another twofactor command may be running; look with: twofactor status")
      default: self.init(.inputOutput, message)
      }
    }
  }
}

extension String {
  /// The text with a small letter at the beginning.
  fileprivate var loweredFirst: String { prefix(1).lowercased() + dropFirst() }
}
