public import FixedMemory

/// The options of the policy: the one table of their names, kinds and ranges.
public enum PolicyOption: UInt8, Sendable {
  case nullok
  case directory
  case prompt
  case echoCode
  case window
  case lookAhead
  case maxFailures
  case backupCodes
  case debug

  /// How many options there are; their raw values count from 0.
  public static var count: UInt8 { 9 }

  /// What the value of an option is.
  public enum Kind: Equatable, Sendable {
    /// `yes` or `no`; as an argument alone, yes.
    case flag

    /// A number within a range.
    case number(ClosedRange<UInt64>)

    /// So many bytes without control characters.
    case text(ClosedRange<Int>)

    /// The template of a directory.
    case directory
  }

  /// The name in an argument.
  public var name: Literal {
    switch self {
    case .nullok: "nullok"
    case .directory: "directory"
    case .prompt: "prompt"
    case .echoCode: "echo_code"
    case .window: "window"
    case .lookAhead: "look_ahead"
    case .maxFailures: "max_failures"
    case .backupCodes: "backup_codes"
    case .debug: "debug"
    }
  }

  /// What its value is.
  public var kind: Kind {
    switch self {
    case .nullok, .echoCode, .backupCodes, .debug: .flag
    case .directory: .directory
    case .prompt: .text(1...128)
    case .window: .number(0...10)
    case .lookAhead: .number(1...100)
    case .maxFailures: .number(1...100)
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
