internal import CSystem
public import FixedMemory

/// The host's configuration file, `twofactor.conf`.
public enum PolicyFile {
  /// Where it lies unless the module's arguments say otherwise.
  public static var usualPath: Literal { "/etc/security/twofactor.conf" }

  /// The longest file in bytes.
  public static var maximumLength: Int { 65_536 }

  /// Reads the file.
  ///
  /// - Parameters:
  ///   - path: Its path, NUL-terminated.
  ///   - isOptional: Whether it may be missing.
  ///   - owner: Who must own it, and alone be able to write it.
  /// - Returns: Its bytes; nothing where it is missing and may be.
  /// - Throws: Why it cannot be read or trusted.
  public static func read(
    _ path: UnsafePointer<CChar>, isOptional: Bool, owner: UInt32 = 0
  ) throws(PolicyProblem) -> SecretBuffer {
    let descriptor = unsafe csystem_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0)
    guard descriptor >= 0 else {
      let error = csystem_errno()
      guard isOptional, error == ENOENT else { throw PolicyProblem(inFile: "cannot be opened", error: error) }
      guard let nothing = SecretBuffer(capacity: 1) else {
        throw PolicyProblem(inFile: "out of memory", error: ENOMEM)
      }
      return nothing
    }
    defer { _ = close(descriptor) }

    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw PolicyProblem(inFile: "cannot be examined", error: csystem_errno())
    }
    guard status.st_mode & mode_t(S_IFMT) == mode_t(S_IFREG) else {
      throw PolicyProblem(inFile: "is not a regular file")
    }
    guard status.st_uid == owner, status.st_mode & 0o022 == 0 else {
      throw PolicyProblem(inFile: "must be owned by root, and writable by root alone")
    }
    let length = Int(truncatingIfNeeded: status.st_size)
    guard length <= maximumLength else { throw PolicyProblem(inFile: "is too long") }
    guard var text = SecretBuffer(capacity: length &+ 1) else {
      throw PolicyProblem(inFile: "out of memory", error: ENOMEM)
    }
    while text.count < length {
      let count = unsafe text.fill { room in unsafe CSystem.read(descriptor, room.baseAddress, room.count) }
      if count == 0 { break }
      guard count > 0 || csystem_errno() == EINTR else {
        throw PolicyProblem(inFile: "cannot be read", error: csystem_errno())
      }
    }
    guard text.count == length else { throw PolicyProblem(inFile: "was changed while it was read") }
    return text
  }
}
