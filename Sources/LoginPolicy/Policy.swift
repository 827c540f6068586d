internal import Enrollment
public import FixedMemory
public import Verification

/// What the administrator wants of a login: the arguments of the module's line in the PAM configuration, and the
/// lines of `twofactor.conf`.
public struct Policy: Sendable {
  /// Whether a user who is proved not to be enrolled passes.
  public var passesUnenrolled = false

  /// The template of the enrolment's directory; see ``EnrollmentPath``.
  public var directory: ByteText<512>

  /// What the user is asked with; empty for the usual prompt.
  public var prompt = ByteText<129>()

  /// Whether the code is shown as it is typed.
  public var echoesCode = false

  /// Where the code may come from beside the module's own question.
  public var password = PasswordSource()

  /// How far a code may be off, and how often wrong.
  public var limits = VerificationLimits()

  /// For how many seconds an address that passed is not asked again; 0 for not at all.
  public var gracePeriod: Int64 = 0

  /// The addresses that are not asked, as CIDR networks with commas between them.
  public var trustedNetworks = ListText()

  /// The groups whose members alone are asked; empty for everybody.
  public var onlyGroups = ListText()

  /// The groups whose members are not asked.
  public var exemptGroups = ListText()

  /// The methods of sshd after which nobody is asked.
  public var skippedMethods = ListText()

  /// The day, in days since the epoch, from which everybody must be enrolled.
  public var requiredFrom: CalendarDay?

  /// Whether more is logged. Never a secret, a code or a password.
  public var isDebugging = false

  /// Who asks for the code, as an app shows it; empty for the name of the host. For the setup command.
  public var issuer = ByteText<129>()

  /// Whether the setup command asks for the account's password.
  public var requiresPassword = true

  /// Whether users may switch two-factor off themselves.
  public var allowsDisabling = true

  /// The program that tells a user of changes, as an absolute path; empty for none. For the setup command.
  public var notifier = ByteText<512>()

  /// The policy of a host that says nothing.
  public init() {
    var directory = ByteText<512>()
    directory.append(EnrollmentPath.usualTemplate)
    self.directory = directory
  }
}

/// Room for a list with commas between its parts.
public typealias ListText = ByteText<1024>

/// What is done with the password that an earlier module asked for, or that is asked for together with the code:
/// clients with a single field send both in one.
public struct PasswordSource: Equatable, Sendable {
  /// Whether the code is looked for at the end of the earlier password, and asked for where it is not there.
  public var isTriedFirst = false

  /// Whether the code is looked for at the end of the earlier password, and nobody is asked.
  public var isUsedAlone = false

  /// Whether what stands before the code is handed on to the modules that follow.
  public var isForwarded = false
}
