package import Enrollment
package import FixedMemory
internal import HelperProtocol
package import LoginPolicy

/// Why the store cannot be used, with details that an ``EnrollmentFailure`` cannot contain.
package struct StoreProblem: Error, Sendable {
  /// The kind of failure.
  package let reason: EnrollmentFailure.Reason

  /// In English, on one line, without secrets.
  package let text: String

  /// SQLSTATE of an error of the server; empty for others.
  package var sqlState = ""

  private static let maximumLength = 900

  /// Replaces control characters of a text from elsewhere, and truncates it.
  package init(_ reason: EnrollmentFailure.Reason, _ text: String) {
    self.reason = reason
    var line = ""
    for part in text.split(separator: "\n") {
      if !line.isEmpty { line += "; " }
      for scalar in part.unicodeScalars {
        line.unicodeScalars.append(scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) ? " " : scalar)
      }
    }
    // A scalar has at most four bytes; a character, any number.
    self.text =
      line.utf8.count > Self.maximumLength
      ? String(line.unicodeScalars.prefix(Self.maximumLength / 4)) + " …" : line
  }

  /// An error of the server, libpq or this program about the database.
  package init(database problem: String, _ reason: EnrollmentFailure.Reason = .io) {
    self.init(reason, "PostgreSQL: " + problem)
  }

  /// A problem of a file.
  package init(_ problem: PolicyProblem, in path: String) {
    var text = ByteText(capacity: 1024)
    problem.describe(into: &text, path: path.utf8.span)
    self.init(problem.error == .outOfMemory ? .io : .configuration, String(validating: text.bytes) ?? path)
  }

  /// A failure of an enrollment.
  package init(_ failure: EnrollmentFailure) {
    var text = ByteText(capacity: 255)
    failure.describe(into: &text)
    self.init(failure.reason, String(validating: text.bytes) ?? "failed")
  }

  /// The answer to the request that failed; nil if memory is short.
  package var answer: SecretBuffer? {
    var text = ByteText(capacity: self.text.utf8.count)
    text.append(self.text.utf8.span)
    return HelperAnswer.encoded(reason, text)
  }
}
