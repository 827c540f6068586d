internal import Enrollment
internal import FixedMemory
public import Verification

/// The settings of the administrator: the arguments of the PAM rule and the lines of `twofactor.conf`.
public struct Policy: ~Copyable {
  /// `nullok`.
  public var passesUnenrolled = false

  /// See ``EnrollmentPath``.
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

  /// `echo_code`.
  public var echoesCode = false

  /// How the password of an earlier module is used.
  public var password = PasswordSource()

  /// The limits of verification.
  public var limits = VerificationLimits()

  /// In seconds; 0 for none.
  public var gracePeriod: Int64 = 0

  /// A list of ``Network``; see ``ListWords``.
  public var trustedNetworks: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: trustedNetworksPlace) }
  }

  /// See ``ListWords``.
  public var onlyGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: onlyGroupsPlace) }
  }

  /// See ``ListWords``.
  public var exemptGroups: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: exemptGroupsPlace) }
  }

  /// `skip_after`; see ``ListWords``.
  public var skippedMethods: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: skippedMethodsPlace) }
  }

  /// `require_method`; see ``ListWords``.
  public var requiredMethods: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: requiredMethodsPlace) }
  }

  /// The day from which all users must be enrolled; nil for never.
  public var requiredFrom: CalendarDay?

  /// `debug`.
  public var isDebugging = false

  /// Empty for the host name.
  public var issuer: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: issuerPlace) }
  }

  /// `require_password`.
  public var requiresPassword = true

  /// `allow_disable`.
  public var allowsDisabling = true

  /// `notify`: an absolute path; empty for none.
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
  var requiredMethodsPlace = PolicyTexts.Place()
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
/// Allocates with the first text, since most hosts set none. Public only for its `deinit`, which Embedded Swift must see
/// wherever a ``Policy`` is destroyed.
public struct PolicyTexts: ~Copyable {
  private var texts = ByteText()

  /// Enough for the longest values from both file and arguments.
  private static var capacity: Int { 2 * (512 + 5 * 1024 + 2 * 128 + 256) }

  struct Place {
    fileprivate var start: UInt16 = 0
    fileprivate var count: UInt16 = 0

    /// The line of the file that set the text; 0 for an argument.
    fileprivate(set) var line: UInt32 = 0

    var isEmpty: Bool { count == 0 }
  }

  init() {}

  /// Stores the text of a line, or of an argument (line 0). Returns nil if memory runs out.
  mutating func add(_ text: Span<UInt8>, line: UInt32) -> Place? {
    if !texts.hasMemory { texts = ByteText(capacity: Self.capacity) }
    let start = texts.count
    texts.append(text)
    guard texts.hasMemory, !texts.isTruncated else { return nil }
    return Place(
      start: UInt16(truncatingIfNeeded: start), count: UInt16(truncatingIfNeeded: text.count), line: line)
  }

  @_lifetime(borrow self)
  func bytes(at place: Place) -> Span<UInt8> {
    texts.bytes.slice(from: Int(place.start), to: Int(place.start) &+ Int(place.count))
  }
}
