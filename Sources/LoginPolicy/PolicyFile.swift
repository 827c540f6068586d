public import FixedMemory
public import SystemFiles

/// The configuration file, twofactor.conf(5).
public enum PolicyFile {
  /// The default of `conf=`.
  public static var usualPath: Literal { "/etc/security/twofactor.conf" }

  /// In bytes.
  public static var maximumLength: Int { 65_536 }

  /// Reads the file at a NUL-terminated path, which only `owner` may be able to write. A missing optional file is
  /// empty.
  public static func read(
    _ path: UnsafePointer<CChar>, isOptional: Bool, owner: UserID = .root
  ) throws(PolicyProblem) -> SecretBuffer {
    // SAFETY: the caller's path is NUL-terminated.
    guard let file = try unsafe open(path, isOptional: isOptional) else { return try buffer(capacity: 1) }
    return try text(of: file, attempt("cannot be examined", file.status()), owner: owner)
  }

  /// Reads an open file, which only `owner` may be able to write.
  package static func text(
    of file: borrowing OpenFile, _ status: FileStatus, owner: UserID = .root
  ) throws(PolicyProblem) -> SecretBuffer {
    switch TrustRule.file(of: owner).violation(of: status) {
    case nil: break
    case .notRegularFile: throw PolicyProblem(inFile: "is not a regular file")
    default: throw PolicyProblem(inFile: "must be owned by root, and writable by root alone")
    }
    let length = Int(truncatingIfNeeded: status.size)
    guard length <= maximumLength else { throw PolicyProblem(inFile: "is too long") }
    var text = try buffer(capacity: length &+ 1)
    try attempt("cannot be read", file.read(into: &text))
    guard text.count == length else { throw PolicyProblem(inFile: "was changed while it was read") }
    return text
  }

  private static func open(
    _ path: UnsafePointer<CChar>, isOptional: Bool
  ) throws(PolicyProblem) -> OpenFile? {
    do throws(Errno) {
      // SAFETY: the caller's path is NUL-terminated.
      return try unsafe OpenFile.following(path, for: .read)
    } catch {
      guard isOptional, error == .noSuchFile else { throw PolicyProblem(inFile: "cannot be opened", error: error) }
      return nil
    }
  }

  private static func buffer(capacity: Int) throws(PolicyProblem) -> SecretBuffer {
    guard let buffer = SecretBuffer(capacity: capacity) else {
      throw PolicyProblem(inFile: "out of memory", error: .outOfMemory)
    }
    return buffer
  }

  package static func attempt<Result>(
    _ problem: Literal, _ operation: @autoclosure () throws(Errno) -> Result
  ) throws(PolicyProblem) -> Result {
    do throws(Errno) {
      return try operation()
    } catch {
      throw PolicyProblem(inFile: problem, error: error)
    }
  }
}
