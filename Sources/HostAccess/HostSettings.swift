import Enrollment
import FixedMemory
import LoginPolicy
import Verification

/// The options of `twofactor.conf` that apply to the command, parsed as logins parse them.
package struct HostSettings {
  /// If the file is missing, the defaults apply.
  package static var path: String { String(decoding: PolicyFile.usualPath.bytes) }

  /// A template for ``EnrollmentPath``.
  package var directoryTemplate = String(decoding: Policy().directory)
  /// Whether the template is that of the host store.
  package var isHostStore: Bool { directoryTemplate == String(decoding: EnrollmentPath.hostTemplate.bytes) }
  /// Whether the enrollments are in a database. The template is then empty.
  package var isPostgreSQL = false
  /// Whether users change their enrollments themselves: in the homes, in the host store, or in a database. Elsewhere,
  /// only root can.
  package var isSelfService: Bool {
    isHostStore || isPostgreSQL || ["~/", "%h/"].contains { directoryTemplate.hasPrefix($0) }
  }
  /// The account that owns the enrollments outside the homes; nil for root or the user.
  package var owner: String?
  /// Whether other hosts use the enrollments, too.
  package var isShared = false
  /// Nil for the host name.
  package var issuer: String?
  package var requiresPassword = true
  package var allowsDisabling = true
  /// From this day, logins require enrollment.
  package var requiredFrom: CalendarDay?
  /// Enrollment at login.
  package var enrollment = LoginEnrollment.no
  /// Whether logins show the code as it is typed.
  package var echoesCode = false
  /// A program with the interface of sendmail(8).
  package var notify: String?
  package var limits = VerificationLimits()

  package init() {}

  /// The folder of all enrollments outside the homes: the part of `directory` that is the same for each user.
  package static func folder(of template: String) -> String {
    let names = template.split(separator: "/").dropLast()
    let same = names.prefix { !$0.replacing("%%", with: "").contains("%") }
    return same.map { "/" + $0.replacing("%%", with: "%") }.joined()
  }

  /// The command that creates a folder that only the owner of the enrollments can open. An existing folder such as
  /// `/var/lib` stays as it is.
  package static func creation(of folder: String, owner: String, exists: Bool) -> String {
    guard !exists || folder.count(where: { $0 == "/" }) > 2 else {
      return "set directory to a folder of the owner, as in /var/lib/\(owner)/twofactor/%U"
    }
    return "install -d -o \(owner) -m 700 \(folder)"
  }

  /// `path` is for the message.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration``, naming the line.
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

  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` if the file is unreadable, not trusted or invalid.
  ///   Defaults could be laxer.
  package static func load(from path: String = path) throws -> HostSettings {
    try load(from: path, isOptional: true, arguments: [])
  }

  /// The settings of a login through a rule with these module arguments.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/configuration`` if the module would refuse the login.
  package static func load(arguments: [String]) throws -> HostSettings {
    let file = arguments.last { $0.hasPrefix("conf=/") }.map { String($0.dropFirst("conf=".count)) }
    return try load(from: file ?? path, isOptional: file == nil, arguments: arguments)
  }

  private static func load(from path: String, isOptional: Bool, arguments: [String]) throws -> HostSettings {
    var name = ByteText(capacity: path.utf8.count)
    name.append(path.utf8.span)
    // An empty path would look like a missing file.
    guard !name.isTruncated else { throw SetupError(.inputOutput, "out of memory") }
    do throws(PolicyProblem) {
      // SAFETY: the name is NUL-terminated.
      let bytes = try unsafe name.withCString { name throws(PolicyProblem) in
        try unsafe PolicyFile.read(name, isOptional: isOptional)
      }
      return try HostSettings(bytes: bytes, arguments: arguments)
    } catch {
      throw failure(error, path)
    }
  }

  private init(bytes: borrowing SecretBuffer, arguments: [String] = []) throws(PolicyProblem) {
    var policy = Policy()
    try policy.read(file: bytes)
    for argument in arguments { try policy.read(argument.utf8.span) }
    try policy.check()
    directoryTemplate = String(decoding: policy.directory)
    isPostgreSQL = policy.isPostgreSQL
    owner = policy.owner.isEmpty ? nil : String(decoding: policy.owner)
    isShared = policy.isShared
    issuer = policy.issuer.count == 0 ? nil : String(decoding: policy.issuer)
    requiresPassword = policy.requiresPassword
    allowsDisabling = policy.allowsDisabling
    requiredFrom = policy.requiredFrom
    enrollment = policy.enrollment
    echoesCode = policy.echoesCode
    notify = policy.notifier.count == 0 ? nil : String(decoding: policy.notifier)
    limits = policy.limits
  }

  private static func failure(_ problem: PolicyProblem, _ path: String) -> SetupError {
    var text = ByteText(capacity: 511)
    problem.describe(into: &text, path: path.utf8.span)
    return SetupError(.configuration, String(decoding: text.bytes), hint: "the administrator can correct it")
  }

  /// Whether, at `now` (Unix time), users may not disable two-factor, or logins require enrollment.
  package func enforcesTwoFactor(now: Int64) -> Bool {
    !allowsDisabling || enrollment.isRequired(from: requiredFrom, now: now)
  }
}
