/// What the administrator allows: how far a code may be off, and how often one may be wrong.
public struct VerificationLimits: Equatable, Sendable {
  /// How many time steps before and after the current one are accepted, 0 to 10.
  public var window: UInt64 = 1

  /// How many counters of HOTP after the expected one are accepted, 1 to 100.
  public var lookAhead: UInt64 = 10

  /// How many codes in a row may be wrong before codes are refused for a time, 1 to 100.
  public var maximumFailures: UInt32 = 5

  /// Whether backup codes are accepted.
  public var acceptsBackupCodes = true

  /// How many failures are counted where the state was lost: one guess is left before codes are throttled, so that a
  /// loss buys no more.
  public var failuresAfterLoss: UInt32 { maximumFailures &- 1 }

  /// The limits of a host that sets none.
  public init() {}
}
