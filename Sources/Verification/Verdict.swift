internal import Enrollment

/// What became of a code. A wrong one is a verdict, not an error.
public enum Verdict: Equatable, Sendable {
  /// The code of the device at this index of the credential is right, and is used up in the new state.
  case acceptedCode(device: Int)

  /// The backup code at this index of the credential is right, and is spent in the new state.
  case acceptedBackupCode(index: Int)

  /// No device has this code anywhere near; so many in a row were wrong.
  case wrongCode(failures: UInt32)

  /// A device has this code, so many steps (or counters) from now: negative for an earlier one. It counts as
  /// wrong.
  case outsideWindow(steps: Int64)

  /// The code was right, and has been used. It does not count as wrong.
  case reusedCode

  /// Codes are refused unseen for so many seconds more.
  case throttled(seconds: Int64)

  /// Codes are refused unseen until a backup code or the administrator ends it.
  case locked

  /// Whether it lets the user in.
  public var isAcceptance: Bool {
    switch self {
    case .acceptedCode, .acceptedBackupCode: true
    default: false
    }
  }
}
