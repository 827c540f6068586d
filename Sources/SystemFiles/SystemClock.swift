internal import CSystem

/// The host's clock.
public enum SystemClock {
  /// Unix time in seconds (time(2)).
  public static var now: Int64 { Int64(time(nil)) }

  /// Suspends the calling thread; a signal ends the pause (nanosleep(2)).
  public static func pause(milliseconds: Int) {
    var time = timespec(tv_sec: 0, tv_nsec: milliseconds &* 1_000_000)
    // SAFETY: the interval outlives the call.
    _ = unsafe nanosleep(&time, nil)
  }
}
