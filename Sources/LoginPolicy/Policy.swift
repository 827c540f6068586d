internal import Enrollment
internal import FixedMemory
public import Verification

/// What the administrator wants of a login: the arguments of the module's line in the PAM configuration, and the
/// lines of `twofactor.conf`.
public struct Policy: ~Copyable {
  /// Whether a user who is proved not to be enrolled passes.
  public var passesUnenrolled = false

  /// The template of the enrolment's directory; see ``EnrollmentPath``.
  public var directory: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      guard directoryPlace.isEmpty else { return texts.bytes(at: directoryPlace) }
      // SAFETY: a literal lives as long as the program.
      return unsafe _overrideLifetime(EnrollmentPath.usualTemplate.bytes, borrowing: self)
    }
  }

  /// What the user is asked with; empty for the usual prompt.
  public var prompt: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: promptPlace) }
  }

  /// The same as a NUL-terminated string, which lives as long as the policy; nil for the usual prompt.
  public var promptString: UnsafePointer<CChar>? { unsafe texts.cString(at: promptPlace) }

  /// Whether the code is shown as it is typed.
  public var echoesCode = false

  /// Where the code may come from beside the module's own question.
  public var password = PasswordSource()

  /// How far a code may be off, and how often wrong.
  public var limits = VerificationLimits()

  /// For how many seconds an address that passed is not asked again; 0 for not at all.
  public var gracePeriod: Int64 = 0

  /// The addresses that are not asked, as CIDR networks with commas between them.
  public var trustedNetworks: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: trustedNetworksPlace) }
  }

  /// The groups whose members alone are asked; empty for everybody.
  public var onlyGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: onlyGroupsPlace) }
  }

  /// The groups whose members are not asked.
  public var exemptGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: exemptGroupsPlace) }
  }

  /// The methods of sshd after which nobody is asked.
  public var skippedMethods: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: skippedMethodsPlace) }
  }

  /// The day, in days since the epoch, from which everybody must be enrolled.
  public var requiredFrom: CalendarDay?

  /// Whether more is logged. Never a secret, a code or a password.
  public var isDebugging = false

  /// Who asks for the code, as an app shows it; empty for the name of the host. For the setup command.
  public var issuer: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: issuerPlace) }
  }

  /// Whether the setup command asks for the account's password.
  public var requiresPassword = true

  /// Whether users may switch two-factor off themselves.
  public var allowsDisabling = true

  /// The program that tells a user of changes, as an absolute path; empty for none. For the setup command.
  public var notifier: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: notifierPlace) }
  }

  var reading = PolicyReading()
  var texts = PolicyTexts()
  var directoryPlace = PolicyTexts.Place()
  var promptPlace = PolicyTexts.Place()
  var trustedNetworksPlace = PolicyTexts.Place()
  var onlyGroupsPlace = PolicyTexts.Place()
  var exemptGroupsPlace = PolicyTexts.Place()
  var skippedMethodsPlace = PolicyTexts.Place()
  var issuerPlace = PolicyTexts.Place()
  var notifierPlace = PolicyTexts.Place()

  /// The policy of a host that says nothing.
  public init() {}
}

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
