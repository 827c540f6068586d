internal import Enrollment
internal import FixedMemory
public import Verification

/// The settings of the administrator: the arguments of the PAM rule and the lines of `twofactor.conf`.
public struct Policy: ~Copyable {
  /// `nullok`: whether a user who is proved not to be enrolled passes.
  public var passesUnenrolled = false

  /// The template of the enrollment directory; see ``EnrollmentPath``.
  public var directory: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      guard directoryPlace.isEmpty else { return texts.bytes(at: directoryPlace) }
      // SAFETY: a literal lives as long as the program.
      return unsafe _overrideLifetime(EnrollmentPath.usualTemplate.bytes, borrowing: self)
    }
  }

  /// The prompt; empty for the default.
  public var prompt: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: promptPlace) }
  }

  /// Whether the code is shown as it is typed.
  public var echoesCode = false

  /// How the password of an earlier module is used.
  public var password = PasswordSource()

  /// How far a code may be off, and how many may be wrong.
  public var limits = VerificationLimits()

  /// The length of a grace period in seconds; 0 for none.
  public var gracePeriod: Int64 = 0

  /// The networks from which no code is asked for; see ``ListWords`` and ``Network``.
  public var trustedNetworks: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: trustedNetworksPlace) }
  }

  /// The groups whose members alone are asked for a code; empty for all users. See ``ListWords``.
  public var onlyGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: onlyGroupsPlace) }
  }

  /// The groups whose members are not asked for a code; see ``ListWords``.
  public var exemptGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: exemptGroupsPlace) }
  }

  /// The methods of sshd after which no code is asked for; see ``ListWords``.
  public var skippedMethods: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: skippedMethodsPlace) }
  }

  /// The day from which all users must be enrolled; nil for never.
  public var requiredFrom: CalendarDay?

  /// `debug`: whether more is logged. Never a secret, a code or a password.
  public var isDebugging = false

  /// The issuer that an app shows; empty for the host name. For the setup command.
  public var issuer: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: issuerPlace) }
  }

  /// Whether the setup command asks for the account password.
  public var requiresPassword = true

  /// Whether users may disable two-factor themselves.
  public var allowsDisabling = true

  /// The mail program that reports changes, as an absolute path; empty for none. For the setup command.
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

  /// The defaults.
  public init() {}
}

/// How a password with a code at its end is used, for programs with a single password field.
public struct PasswordSource: Equatable, Sendable {
  /// `try_first_pass`: look for a code at the end of the earlier password, and prompt if there is none.
  public var isTriedFirst = false

  /// `use_first_pass`: the same, but never prompt.
  public var isUsedAlone = false

  /// `forward_pass`: hand the password before the code to the modules that follow.
  public var isForwarded = false
}

/// The texts of a policy, one after the other.
///
/// Memory is allocated with the first text, since most hosts set none and every login parses a policy. Public only for
/// its `deinit`, which Embedded Swift must see wherever a ``Policy`` is destroyed.
public struct PolicyTexts: ~Copyable {
  private var texts = ByteText()

  /// Enough for the longest value of each option, once from the file and once from the arguments.
  private static var capacity: Int { 2 * (512 + 4 * 1024 + 2 * 128 + 256) }

  /// The position of a text; empty for one that is not set.
  struct Place {
    fileprivate var start: UInt16 = 0
    fileprivate var count: UInt16 = 0

    var isEmpty: Bool { count == 0 }
  }

  init() {}

  /// Stores a text. Returns nil if memory runs out.
  mutating func add(_ text: Span<UInt8>) -> Place? {
    if !texts.hasMemory { texts = ByteText(capacity: Self.capacity) }
    let start = texts.count
    texts.append(text)
    guard texts.hasMemory, !texts.isTruncated else { return nil }
    return Place(start: UInt16(truncatingIfNeeded: start), count: UInt16(truncatingIfNeeded: text.count))
  }

  @_lifetime(borrow self)
  func bytes(at place: Place) -> Span<UInt8> {
    texts.bytes.slice(from: Int(place.start), to: Int(place.start) &+ Int(place.count))
  }
}
