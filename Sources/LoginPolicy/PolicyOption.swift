public import FixedMemory

/// The options of the policy.
public enum PolicyOption: UInt8, Sendable {
  case nullok
  case store
  case directory
  case owner
  case shared
  case conf
  case prompt
  case echoCode
  case tryFirstPass
  case useFirstPass
  case forwardPass
  case window
  case lookAhead
  case maxFailures
  case backupCodes
  case gracePeriod
  case trustedNetworks
  case onlyGroups
  case exemptGroups
  case skipAfter
  case requireMethod
  case requiredFrom
  case enroll
  case enrollNetworks
  case debug
  case issuer
  case requirePassword
  case allowDisable
  case notify

  /// Raw values are 0 ..< `count`.
  public static var count: UInt8 { 29 }

  /// The type of a value.
  public enum Kind: Equatable, Sendable {
    /// `yes` or `no`.
    case flag

    /// In this range.
    case number(ClosedRange<UInt64>)

    /// Of this many bytes, without control characters.
    case text(ClosedRange<Int>)

    /// Of this many bytes, without colons, which an otpauth URI does not allow.
    case label(ClosedRange<Int>)

    /// `home`, `host` or `postgresql`.
    case store

    /// See ``LoginEnrollment``.
    case enrollment

    /// See ``EnrollmentPath``.
    case directory

    /// An absolute path.
    case file

    /// A list of ``Network``.
    case networks

    /// See ``ListWords``.
    case words

    /// Such as 2026-01-31.
    case day
  }

  /// Where an option may be set.
  public enum Place: Equatable, Sendable {
    /// In an argument or in the file.
    case anywhere

    /// Only in an argument.
    case arguments

    /// Only in the file, for the setup command.
    case file
  }

  /// In arguments and in the file.
  public var name: Literal {
    switch self {
    case .nullok: "nullok"
    case .store: "store"
    case .directory: "directory"
    case .owner: "owner"
    case .shared: "shared"
    case .conf: "conf"
    case .prompt: "prompt"
    case .echoCode: "echo_code"
    case .tryFirstPass: "try_first_pass"
    case .useFirstPass: "use_first_pass"
    case .forwardPass: "forward_pass"
    case .window: "window"
    case .lookAhead: "look_ahead"
    case .maxFailures: "max_failures"
    case .backupCodes: "backup_codes"
    case .gracePeriod: "grace_period"
    case .trustedNetworks: "trusted_networks"
    case .onlyGroups: "only_groups"
    case .exemptGroups: "exempt_groups"
    case .skipAfter: "skip_after"
    case .requireMethod: "require_method"
    case .requiredFrom: "required_from"
    case .enroll: "enroll"
    case .enrollNetworks: "enroll_networks"
    case .debug: "debug"
    case .issuer: "issuer"
    case .requirePassword: "require_password"
    case .allowDisable: "allow_disable"
    case .notify: "notify"
    }
  }

  /// Type and range.
  public var kind: Kind {
    switch self {
    case .nullok, .shared, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .backupCodes, .debug,
      .requirePassword, .allowDisable:
      .flag
    case .store: .store
    case .enroll: .enrollment
    case .directory: .directory
    case .conf, .notify: .file
    case .prompt, .owner: .text(1...128)
    case .issuer: .label(1...128)
    case .window: .number(0...10)
    case .lookAhead, .maxFailures: .number(1...100)
    case .gracePeriod: .number(0...2_592_000)
    case .trustedNetworks, .enrollNetworks: .networks
    case .onlyGroups, .exemptGroups, .skipAfter, .requireMethod: .words
    case .requiredFrom: .day
    }
  }

  /// For a value outside the range of ``kind``.
  var rangeProblem: Literal {
    switch self {
    case .window: "is not a number from 0 to 10"
    case .gracePeriod: "is not a number from 0 to 2592000"
    default: "is not a number from 1 to 100"
    }
  }

  /// Where the option may be set.
  public var place: Place {
    switch self {
    case .conf: .arguments
    case .issuer, .requirePassword, .allowDisable, .notify: .file
    default: .anywhere
    }
  }

  /// The option with this name, or nil.
  public static func named(_ name: Span<UInt8>) -> PolicyOption? {
    var values = Counter(to: Int(count))
    while let value = values.next() {
      let option = PolicyOption(rawValue: UInt8(truncatingIfNeeded: value))
      if let option, name.isEqual(to: option.name) { return option }
    }
    return nil
  }
}
