internal import Enrollment
internal import FixedMemory
public import Verification

/// The options in force: arguments of the PAM rule, and lines of `twofactor.conf`.
public struct Policy: ~Copyable {
  /// `nullok`.
  public var passesUnenrolled = false

  /// The template in force, from `directory` or else `store`; see ``EnrollmentPath``. Empty, and so invalid, if
  /// enrollments are in no directory (``isPostgreSQL``).
  public var directory: Span<UInt8> {
    @_lifetime(borrow self)
    get {
      guard directoryPlace.isEmpty else { return texts.bytes(at: directoryPlace) }
      let template: Literal
      switch store {
      case .home: template = EnrollmentPath.usualTemplate
      case .host: template = EnrollmentPath.hostTemplate
      case .postgresql: template = ""
      }
      // SAFETY: a literal is immortal.
      return unsafe _overrideLifetime(template.bytes, borrowing: self)
    }
  }

  /// Whether ``directory`` is the host store.
  public var isHostStore: Bool { directory.isEqual(to: EnrollmentPath.hostTemplate) }

  /// Whether the enrollments are in a database.
  public var isPostgreSQL: Bool { store == .postgresql && directoryPlace.isEmpty }

  /// Whether the users' programs cannot open the enrollments, except through `twofactor-helper`.
  public var isClosedToUsers: Bool { isHostStore || isPostgreSQL }

  /// The account that owns the enrollments outside the homes; empty for root or the user.
  public var owner: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: ownerPlace) }
  }

  /// `shared`: other hosts use the files of the enrollments, too.
  public var isShared = false

  /// Empty for the default.
  public var prompt: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: promptPlace) }
  }

  /// `echo_code`.
  public var echoesCode = false

  /// See ``PasswordSource``.
  public var password = PasswordSource()

  /// The limits of verification.
  public var limits = VerificationLimits()

  /// In seconds; 0 for none.
  public var gracePeriod: Int64 = 0

  /// Each word is a ``Network``; see ``ListWords``.
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

  /// The first day on which all users must be enrolled; nil for never.
  public var requiredFrom: CalendarDay?

  /// `enroll`.
  public var enrollment = LoginEnrollment.no

  /// `enroll_networks`, empty for all. Each word is a ``Network``; see ``ListWords``.
  public var enrollmentNetworks: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: enrollmentNetworksPlace) }
  }

  /// Whether, at `now` (Unix time), a user must be enrolled to log in: from the day of `required_from` on, or if that is
  /// unset, with `enroll=require`.
  public borrowing func requiresEnrollment(now: Int64) -> Bool {
    enrollment.isRequired(from: requiredFrom, now: now)
  }

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

  /// Whether, at `now` (Unix time), users may not disable two-factor, or logins require enrollment.
  public borrowing func enforcesTwoFactor(now: Int64) -> Bool {
    !allowsDisabling || requiresEnrollment(now: now)
  }

  /// `notify`, an absolute path; empty for none.
  public var notifier: Span<UInt8> {
    @_lifetime(borrow self)
    get { texts.bytes(at: notifierPlace) }
  }

  /// `store`.
  var store = EnrollmentStoreKind.home

  var reading = PolicyReading()
  var texts = PolicyTexts()
  var directoryPlace = PolicyTexts.Place()
  var ownerPlace = PolicyTexts.Place()
  var promptPlace = PolicyTexts.Place()
  var trustedNetworksPlace = PolicyTexts.Place()
  var onlyGroupsPlace = PolicyTexts.Place()
  var exemptGroupsPlace = PolicyTexts.Place()
  var skippedMethodsPlace = PolicyTexts.Place()
  var requiredMethodsPlace = PolicyTexts.Place()
  var enrollmentNetworksPlace = PolicyTexts.Place()
  var issuerPlace = PolicyTexts.Place()
  var notifierPlace = PolicyTexts.Place()

  /// The defaults.
  public init() {}
}

/// Enrollment at login: in the account phase, users who are not enrolled are led through enrollment.
public enum LoginEnrollment: Equatable, Sendable {
  case no

  /// The user may decline.
  case offer

  /// A login without an enrollment is refused.
  case require

  /// Whether, at `now` (Unix time), a user must be enrolled to log in. `day`, of `required_from`, overrides `require`.
  public func isRequired(from day: CalendarDay?, now: Int64) -> Bool {
    day.map { CalendarDay(of: now) >= $0 } ?? (self == .require)
  }
}

/// The values of `store`.
enum EnrollmentStoreKind {
  case home
  case host
  case postgresql
}

/// The use of passwords that end with a code, for programs with a single password field.
public struct PasswordSource: Equatable, Sendable {
  /// `try_first_pass`: look for a code in the earlier password, and prompt if there is none.
  public var isTriedFirst = false

  /// `use_first_pass`: look there, and never prompt.
  public var isUsedAlone = false

  /// `forward_pass`: pass the password without the code to later modules.
  public var isForwarded = false
}

/// The texts of a policy in one buffer.
///
/// Allocates for the first text: most hosts set none. Public only because Embedded Swift must see its `deinit` in every
/// module that destroys a ``Policy``.
public struct PolicyTexts: ~Copyable {
  private var texts = ByteText()

  /// The longest values, from both file and arguments.
  private static var capacity: Int { 2 * (512 + 6 * 1024 + 2 * 128 + 256) }

  struct Place {
    fileprivate var start: UInt16 = 0
    fileprivate var count: UInt16 = 0

    /// The line; 0 for an argument.
    fileprivate(set) var line: UInt32 = 0

    var isEmpty: Bool { count == 0 }
  }

  init() {}

  /// Returns nil if memory is short.
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
