internal import FixedMemory
internal import SystemFiles

extension EnrollmentDirectory {
  /// Reads the credential as it is now.
  ///
  /// - Returns: The credential.
  /// - Throws: Why it cannot be read or trusted. A directory without one is corrupt: it is not proof of anything.
  public borrowing func readCredential() throws(EnrollmentFailure) -> Credential {
    let file = try openFile("credential", for: .read)
    let status = try checkedStatus(of: file, "credential")
    guard status.size <= Int64(Credential.maximumLength) else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    guard status.size > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard var text = SecretBuffer(capacity: Int(truncatingIfNeeded: status.size)) else {
      throw EnrollmentFailure(.io, "credential", "out of memory")
    }
    try attempt("credential", "cannot be read", file.read(into: &text))
    return try Credential(parsing: text)
  }

  /// Opens a file of the enrolment.
  borrowing func openFile(_ name: Literal, for purpose: OpenFile.Purpose) throws(EnrollmentFailure) -> OpenFile {
    do throws(Errno) {
      return try directory.open(name, for: purpose)
    } catch {
      switch error {
      case .noSuchFile: throw EnrollmentFailure(.corrupt, name, "is missing", error: error)
      case .symbolicLink, .isDirectory, .noReader, .noSuchDevice, .notDirectory:
        throw EnrollmentFailure(.insecure, name, "is not a regular file", error: error)
      case .accessDenied where !isOwned(name):
        throw EnrollmentFailure(.insecure, name, TrustRule.Violation.foreignOwner.text)
      default: throw EnrollmentFailure(.io, name, "cannot be opened", error: error)
      }
    }
  }

  /// Whether a file that cannot be opened has the owner that it must have.
  private borrowing func isOwned(_ name: Literal) -> Bool {
    do throws(Errno) {
      return try directory.open(name, for: .status).status().owner == owner
    } catch {
      return true
    }
  }

  /// The status of an open file that is the user's alone.
  borrowing func checkedStatus(
    of file: borrowing OpenFile, _ name: Literal
  ) throws(EnrollmentFailure) -> FileStatus {
    let status = try attempt(name, "cannot be examined", file.status())
    if let violation = TrustRule.privateFile(of: owner).violation(of: status) {
      throw EnrollmentFailure(.insecure, name, violation.text)
    }
    return status
  }
}
