/// A time step of TOTP: the number of whole periods since the Unix epoch (RFC 6238 section 4.2, with T0 = 0).
public struct TimeStep: RawRepresentable, Equatable, Comparable, Sendable {
  /// The allowed periods in seconds.
  public static var periods: ClosedRange<Int64> { 15...300 }

  /// The number of periods since the epoch.
  public var rawValue: UInt64

  /// The step with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The time step at a time in seconds since the epoch; nil before the epoch, or if the period is not allowed.
  public init?(at seconds: Int64, period: Int64) {
    guard seconds >= 0, Self.periods.contains(period), period > 0 else { return nil }
    rawValue = UInt64(truncatingIfNeeded: seconds / period)
  }

  /// Whether `left` is before `right`.
  public static func < (left: TimeStep, right: TimeStep) -> Bool { left.rawValue < right.rawValue }
}
