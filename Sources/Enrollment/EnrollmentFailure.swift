public import FixedMemory
public import SystemFiles

/// Why an enrollment is unusable. A wrong code is not a failure.
public struct EnrollmentFailure: Error {
  /// The kind of failure; `reason=` in the log.
  public enum Reason: Sendable {
    /// Another user could have created or changed the file.
    case insecure

    /// The content is invalid.
    case corrupt

    /// A system call failed.
    case io

    /// Nothing exists there: the user is not enrolled.
    case absent

    /// The directory does not exist, but may be hidden: the register names the user, or the home directory is
    /// encrypted.
    case missing

    /// Removed or replaced during use.
    case gone

    /// The option `directory` is invalid.
    case configuration
  }

  // In this order, the properties fit into the four registers of a returned value.

  /// The file or directory.
  public var subject: Literal

  /// A predicate of the subject.
  public var problem: Literal

  /// From 1; 0 if no line is to blame.
  public var line: UInt32

  /// Of the failed system call, if any.
  public var error: Errno?

  /// The kind of failure.
  public var reason: Reason

  /// The problem of a file on a FUSE file system inside the home, which any access to could block for ever.
  public static var problemOfFUSE: Literal { "is on a FUSE file system that is mounted inside the home directory" }

  /// The problem of an absence that proves that the user is not enrolled, even if the register of this host names the
  /// user: another host may have disabled the enrollment.
  static var problemOfProvenAbsence: Literal { "does not exist on the network file system" }

  /// See ``problemOfProvenAbsence``.
  public var isProven: Bool { problem.bytes.isEqual(to: Self.problemOfProvenAbsence) }

  /// Whether the state was lost or damaged. Acquiring the lock recreates it, with all codes marked as used.
  public var isOfLostState: Bool { reason == .corrupt && subject.bytes.isEqual(to: "state") }

  /// Describes a failure.
  @inline(never)
  public init(
    _ reason: Reason, _ subject: Literal, _ problem: Literal, line: UInt32 = 0, error: Errno? = nil
  ) {
    self.reason = reason
    self.subject = subject
    self.problem = problem
    self.line = line
    self.error = error
  }

  /// For example `credential, line 3: unknown line`.
  public func describe(into text: inout ByteText) {
    text.append(subject)
    if line > 0 {
      text.append(", line ")
      text.append(decimal: UInt64(line))
    }
    text.append(": ")
    text.append(problem)
    if let error {
      text.append(": ")
      error.describe(into: &text)
    }
  }
}

extension EnrollmentFailure {
  /// Whether the home directory itself is missing, unreadable or untrusted, or hides its entries. False for other errors
  /// of a system call, such as EIO or ENOMEM, because the next call may succeed.
  public var isAboutHome: Bool {
    guard subject.bytes.isEqual(to: "home") else { return false }
    guard let error else { return true }
    return error == .noSuchFile || error == .accessDenied || error == .notDirectory || error == .symbolicLink
  }
}

/// Turns the error of a file operation into a failure of kind `io`.
@inline(__always)
func attempt<Result: ~Copyable>(
  _ subject: Literal, _ problem: Literal, _ operation: @autoclosure () throws(Errno) -> Result
) throws(EnrollmentFailure) -> Result {
  do throws(Errno) {
    return try operation()
  } catch {
    throw EnrollmentFailure(.io, subject, problem, error: error)
  }
}
