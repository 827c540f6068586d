/// A time step: the number of whole periods since the epoch (RFC 6238 section 4.2, T0 = 0).
public struct TimeStep: RawRepresentable, Equatable, Comparable, Sendable {
  /// In seconds.
  public static var periods: ClosedRange<Int64> { 15...300 }

  /// Whole periods since the epoch.
  public var rawValue: UInt64

  /// The step with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The time step at `seconds` since the epoch; nil before the epoch, or if the period is not allowed.
  public init?(at seconds: Int64, period: Int64) {
    guard seconds >= 0, Self.periods.contains(period), period > 0 else { return nil }
    rawValue = UInt64(truncatingIfNeeded: seconds / period)
  }

  /// Whether `left` is before `right`.
  public static func < (left: TimeStep, right: TimeStep) -> Bool { left.rawValue < right.rawValue }
}
