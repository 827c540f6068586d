/// A time step of TOTP: the number of whole periods since the Unix epoch (RFC 6238 section 4.2, with T0 = 0).
public struct TimeStep: RawRepresentable, Equatable, Comparable, Sendable {
  /// The periods, in seconds, that a device may have.
  public static var periods: ClosedRange<Int64> { 15...300 }

  /// The number of periods since the epoch.
  public var rawValue: UInt64

  /// The step with this number.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The step of a moment; nil before the epoch, or for a period that no device has.
  ///
  /// - Parameters:
  ///   - seconds: Seconds since the epoch, 64 bits wide: RFC 6238 section 4.2 warns of 2038.
  ///   - period: The length of a step in seconds.
  public init?(at seconds: Int64, period: Int64) {
    guard seconds >= 0, Self.periods.contains(period), period > 0 else { return nil }
    rawValue = UInt64(truncatingIfNeeded: seconds / period)
  }

  /// Whether `left` is before `right`.
  public static func < (left: TimeStep, right: TimeStep) -> Bool { left.rawValue < right.rawValue }
}
