import Glibc

/// The wall clock.
enum Clock {
  /// Seconds since the Unix epoch.
  static var now: Int64 { Int64(time(nil)) }
}
