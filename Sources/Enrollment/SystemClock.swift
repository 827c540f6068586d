internal import CSystem

/// The clock of the host.
public enum SystemClock {
  /// Seconds since the epoch (time(2)).
  public static var now: Int64 { Int64(time(nil)) }
}
