public import FixedMemory
public import SystemFiles

/// Why the files of an enrolment cannot be used. A user who is not enrolled is not a failure, nor is a code
/// that is wrong.
public struct EnrollmentFailure: Error {
  /// What kind of failure it is: the reason of the log.
  public enum Reason: Sendable {
    /// Somebody else could have put or changed the file.
    case insecure

    /// The content is not what was written.
    case corrupt

    /// The system refused.
    case io

    /// There is no such file, seen with certainty.
    case absent

    /// The enrolment that was being used is gone: it was switched off or replaced meanwhile.
    case gone

    /// The template of the directory is not one.
    case configuration
  }

  /// The kind of failure.
  public var reason: Reason

  /// What it is about: a file, a directory.
  public var subject: Literal

  /// What is wrong with it.
  public var problem: Literal

  /// The line of the file, counted from 1; 0 where it is about no line.
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

  /// Adds a description for the log or the terminal, as `credential, line 3: unknown field`.
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

/// Runs a file operation. Its error becomes a failure of kind `io`.
///
/// - Parameters:
///   - subject: The file or directory.
///   - problem: The predicate if the operation fails, as `cannot be read`.
///   - operation: The operation.
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
