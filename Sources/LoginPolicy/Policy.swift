internal import Enrollment
public import FixedMemory
public import Verification

/// What the administrator wants of a login: the arguments of the module's line in the PAM configuration.
public struct Policy: Sendable {
  /// Whether a user who is proved not to be enrolled passes.
  public var passesUnenrolled = false

  /// The template of the enrolment's directory; see ``EnrollmentPath``.
  public var directory: ByteText<512>

  /// What the user is asked with.
  public var prompt: ByteText<129>

  /// Whether the code is shown as it is typed.
  public var echoesCode = false

  /// How far a code may be off, and how often wrong.
  public var limits = VerificationLimits()

  /// Whether more is logged. Never a secret, a code or a password.
  public var isDebugging = false

  /// The policy of a host that says nothing.
  public init() {
    var directory = ByteText<512>()
    directory.append(EnrollmentPath.usualTemplate)
    self.directory = directory
    var prompt = ByteText<129>()
    prompt.append("Verification code: ")
    self.prompt = prompt
  }
}
