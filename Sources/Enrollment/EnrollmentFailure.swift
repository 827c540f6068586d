public import FixedMemory
public import SystemFiles

/// Why the files of an enrollment cannot be used. A wrong code is not a failure.
public struct EnrollmentFailure: Error {
  /// The kind of failure, which the log calls reason.
  public enum Reason: Sendable {
    /// Another user could have created or changed the file.
    case insecure

    /// The content is invalid.
    case corrupt

    /// A system call failed.
    case io

    /// The directory certainly does not exist: the user is not enrolled.
    case absent

    /// The directory does not exist, but that is no proof: the register names the user, or the names in the home
    /// directory are encrypted.
    case missing

    /// The enrollment was removed or replaced while it was used.
    case gone

    /// The template of the directory is invalid.
    case configuration
  }

  /// The kind of failure.
  public var reason: Reason

  /// The file or directory.
  public var subject: Literal

  /// The problem, as a predicate of the subject.
  public var problem: Literal

  /// The line of the file, from 1; 0 if the failure is not about a line.
  public var line: UInt32

  /// The error of the system call that failed, if one did.
  public var error: Errno?

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

  /// Appends a description for the log or the terminal, as `credential, line 3: unknown line`.
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

/// Runs a file operation; its error becomes a failure of kind `io`.
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
