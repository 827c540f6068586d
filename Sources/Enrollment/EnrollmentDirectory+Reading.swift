internal import CSystem
internal import FixedMemory

extension EnrollmentDirectory {
  /// Reads the credential as it is now.
  ///
  /// - Returns: The credential.
  /// - Throws: Why it cannot be read or trusted. A directory without one is corrupt: it is not proof of anything.
  public borrowing func readCredential() throws(EnrollmentFailure) -> Credential {
    let file = try openFile("credential", flags: O_RDONLY)
    let status = try checkedStatus(of: file, "credential")
    guard status.size <= Int64(Credential.maximumLength) else {
      throw EnrollmentFailure(.corrupt, "credential", "is too long")
    }
    guard status.size > 0 else { throw EnrollmentFailure(.corrupt, "credential", "is empty") }
    guard var text = SecretBuffer(capacity: Int(truncatingIfNeeded: status.size)) else {
      throw EnrollmentFailure(.io, "credential", "out of memory")
    }
    let count = unsafe text.fill { unsafe file.read(into: $0, at: 0) }
    guard count >= 0 else { throw EnrollmentFailure(.io, "credential", "cannot be read", error: csystem_errno()) }
    return try Credential(parsing: text)
  }

  /// Opens a file of the enrolment.
  borrowing func openFile(_ name: Literal, flags: Int32) throws(EnrollmentFailure) -> OpenFile {
    if let file = unsafe OpenFile.at(directory.descriptor, name.cString, flags) { return file }
    let error = csystem_errno()
    switch error {
    case ENOENT: throw EnrollmentFailure(.corrupt, name, "is missing", error: error)
    case ELOOP, EISDIR, ENXIO, ENODEV, ENOTDIR:
      throw EnrollmentFailure(.insecure, name, "is not a regular file", error: error)
    case EACCES where !isOwned(name): throw EnrollmentFailure(.insecure, name, "is owned by somebody else")
    default: throw EnrollmentFailure(.io, name, "cannot be opened", error: error)
    }
  }

  /// Whether a file that cannot be opened has the owner that it must have.
  private borrowing func isOwned(_ name: Literal) -> Bool {
    let file = unsafe OpenFile.at(directory.descriptor, name.cString, csystem_o_path)
    guard let status = file?.status() else { return true }
    return status.owner == owner
  }

  /// The status of an open file that is the user's alone.
  borrowing func checkedStatus(
    of file: borrowing OpenFile, _ name: Literal
  ) throws(EnrollmentFailure) -> FileStatus {
    guard let status = file.status() else {
      throw EnrollmentFailure(.io, name, "cannot be examined", error: csystem_errno())
    }
    guard status.isRegularFile else { throw EnrollmentFailure(.insecure, name, "is not a regular file") }
    guard status.owner == owner else { throw EnrollmentFailure(.insecure, name, "is owned by somebody else") }
    guard status.links < 2 else { throw EnrollmentFailure(.insecure, name, "has another name") }
    guard !status.isOpenToOthers else { throw EnrollmentFailure(.insecure, name, "is open to others") }
    return status
  }
}
