import FixedMemory
import LoginPolicy
import Verification

/// The options of `twofactor.conf` that the command follows, read by the parser that logins use.
package struct HostSettings {
  /// The file. Without it the defaults hold.
  package static var path: String { String(decoding: PolicyFile.usualPath.bytes) }

  /// The template of the enrollment's directory, as ``EnrollmentPath`` expands it.
  package var directoryTemplate = String(decoding: Policy().directory)
  /// Nil for the host name.
  package var issuer: String?
  package var requiresPassword = true
  package var allowsDisabling = true
  /// The first day on which a login requires enrollment.
  package var requiredFrom: CalendarDay?
  /// The path of a program with the interface of sendmail(8).
  package var notify: String?
  package var limits = VerificationLimits()

  package init() {}

  /// Parses the text of the file; `path` is for the message.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration``, which names the line.
  package init(text: String, path: String = path) throws {
    guard var bytes = SecretBuffer(capacity: text.utf8.count), bytes.append(text.utf8.span) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    do throws(PolicyProblem) {
      try self.init(bytes: bytes)
    } catch {
      throw Self.failure(error, path)
    }
  }

  /// Reads the settings of this host.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` if the file cannot be read, trusted or parsed: defaults
  ///   could be laxer.
  package static func load(from path: String = path) throws -> HostSettings {
    var name = ByteText(capacity: path.utf8.count)
    name.append(path.utf8.span)
    // An empty name would be a missing file.
    guard !name.isTruncated else { throw SetupError(.inputOutput, "out of memory") }
    do throws(PolicyProblem) {
      // SAFETY: the name is NUL-terminated and outlives the call.
      let bytes = try unsafe name.withCString { name throws(PolicyProblem) in
        try unsafe PolicyFile.read(name, isOptional: true)
      }
      return try HostSettings(bytes: bytes)
    } catch {
      throw failure(error, path)
    }
  }

  private init(bytes: borrowing SecretBuffer) throws(PolicyProblem) {
    var policy = Policy()
    try policy.read(file: bytes)
    try policy.check()
    directoryTemplate = String(decoding: policy.directory)
    issuer = policy.issuer.count == 0 ? nil : String(decoding: policy.issuer)
    requiresPassword = policy.requiresPassword
    allowsDisabling = policy.allowsDisabling
    requiredFrom = policy.requiredFrom
    notify = policy.notifier.count == 0 ? nil : String(decoding: policy.notifier)
    limits = policy.limits
  }

  private static func failure(_ problem: PolicyProblem, _ path: String) -> SetupError {
    var text = ByteText(capacity: 511)
    problem.describe(into: &text, path: path.utf8.span)
    return SetupError(.configuration, String(decoding: text.bytes), hint: "the administrator can mend it")
  }

  /// Whether users may not disable two-factor, or a login requires enrollment, at a time in seconds since the epoch.
  package func enforcesTwoFactor(now: Int64) -> Bool {
    !allowsDisabling || requiredFrom.map { CalendarDay(of: now) >= $0 } ?? false
  }
}
