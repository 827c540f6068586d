/// The limits of the policy: how far a code may be off, and how many may be wrong.
public struct VerificationLimits: Equatable, Sendable {
  /// Time steps accepted before and after the current one, 0 to 10.
  public var window: UInt64 = 1

  /// HOTP counters accepted after the expected one, 1 to 100.
  public var lookAhead: UInt64 = 10

  /// Failures in a row before throttling, 1 to 100.
  public var maximumFailures: UInt32 = 5

  /// Whether backup codes are accepted.
  public var acceptsBackupCodes = true

  /// Failures assumed if the state was lost. One guess is left before throttling, so losing the state gains no
  /// guesses.
  public var failuresAfterLoss: UInt32 { maximumFailures &- 1 }

  /// The default limits.
  public init() {}
}
