/// How many digits the codes of a device have.
public enum CodeDigits: UInt8, BitwiseCopyable, Sendable {
  case six = 6
  case eight = 8

  /// Ten to the power of the number of digits.
  public var modulus: UInt32 {
    switch self {
    case .six: 1_000_000
    case .eight: 100_000_000
    }
  }
}
