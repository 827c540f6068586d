public import FixedMemory

/// The options of the policy: the one table of their names, kinds, ranges and places.
public enum PolicyOption: UInt8, Sendable {
  case nullok
  case directory
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
  case requiredFrom
  case debug
  case issuer
  case requirePassword
  case allowDisable
  case notify

  /// How many options there are; their raw values count from 0.
  public static var count: UInt8 { 23 }

  /// What the value of an option is.
  public enum Kind: Equatable, Sendable {
    /// `yes` or `no`; as an argument alone, yes.
    case flag

    /// A number within a range.
    case number(ClosedRange<UInt64>)

    /// So many bytes without control characters.
    case text(ClosedRange<Int>)

    /// So many bytes without control characters or colons, as an otpauth URI allows.
    case label(ClosedRange<Int>)

    /// The template of a directory.
    case directory

    /// The absolute path of a file.
    case file

    /// Networks in CIDR notation, with commas between them.
    case networks

    /// Names or numbers of groups, or other words, with commas between them.
    case words

    /// A day, as 2026-01-31.
    case day
  }

  /// Where an option may stand.
  public enum Place: Equatable, Sendable {
    /// In the arguments of the module and in the file.
    case anywhere

    /// In the arguments of the module alone.
    case arguments

    /// In the file alone, where the setup command reads it.
    case file
  }

  /// The name.
  public var name: Literal {
    switch self {
    case .nullok: "nullok"
    case .directory: "directory"
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
    case .requiredFrom: "required_from"
    case .debug: "debug"
    case .issuer: "issuer"
    case .requirePassword: "require_password"
    case .allowDisable: "allow_disable"
    case .notify: "notify"
    }
  }

  /// What its value is.
  public var kind: Kind {
    switch self {
    case .nullok, .echoCode, .tryFirstPass, .useFirstPass, .forwardPass, .backupCodes, .debug, .requirePassword,
      .allowDisable:
      .flag
    case .directory: .directory
    case .conf, .notify: .file
    case .prompt: .text(1...128)
    case .issuer: .label(1...128)
    case .window: .number(0...10)
    case .lookAhead, .maxFailures: .number(1...100)
    case .gracePeriod: .number(0...2_592_000)
    case .trustedNetworks: .networks
    case .onlyGroups, .exemptGroups, .skipAfter: .words
    case .requiredFrom: .day
    }
  }

  /// What is wrong with a value that is no number in the range of ``kind``.
  var rangeProblem: Literal {
    switch self {
    case .window: "is not a number from 0 to 10"
    case .gracePeriod: "is not a number from 0 to 2592000"
    default: "is not a number from 1 to 100"
    }
  }

  /// Where it may stand.
  public var place: Place {
    switch self {
    case .conf: .arguments
    case .issuer, .requirePassword, .allowDisable, .notify: .file
    default: .anywhere
    }
  }

  /// The option of this name, or nil.
  public static func named(_ name: Span<UInt8>) -> PolicyOption? {
    var values = Counter(to: Int(count))
    while let value = values.next() {
      let option = PolicyOption(rawValue: UInt8(truncatingIfNeeded: value))
      if let option, name.isEqual(to: option.name) { return option }
    }
    return nil
  }
}
