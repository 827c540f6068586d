internal import Enrollment

/// How long codes are refused after failures: 30 seconds once there were as many as allowed, twice as long with
/// every one more, up to 15 minutes. At 100 in a row, the limit of NIST SP 800-63B section 5.2.2, codes are
/// locked until a backup code or the administrator ends it.
enum Throttle {
  static var shortestDelay: Int64 { 30 }
  static var longestDelay: Int64 { 900 }
  static var lockedAt: UInt32 { 100 }

  /// The delay after so many failures in a row, in seconds.
  static func delay(failures: UInt32, allowed: UInt32) -> Int64 {
    guard failures >= allowed else { return 0 }
    var delay = shortestDelay
    var more = failures &- allowed
    while more > 0, delay < longestDelay {
      delay &*= 2
      more &-= 1
    }
    return Swift.min(delay, longestDelay)
  }

  /// What may change in a state although a code is refused without being counted: a time that was cut because the
  /// clock was set back, which is kept, or nobody would ever come to its end; and the number of guesses.
  struct Standing: Equatable {
    private let throttledUntil: Int64
    private let earlyGuesses: UInt32

    init(_ state: borrowing LoginState) {
      throttledUntil = state.throttledUntil
      earlyGuesses = state.earlyGuesses
    }
  }

  static func isLocked(_ state: borrowing LoginState) -> Bool { state.failures >= lockedAt }

  /// Cuts the time in the state to what it can be at most: it lies further ahead only where the clock was set
  /// back, and nobody is to wait for that.
  static func trim(_ state: inout LoginState, now: Int64, allowed: UInt32) {
    // Where fewer failures were allowed when it was written, as another service may, it can be the longest.
    let longest = state.failures < allowed ? longestDelay : delay(failures: state.failures, allowed: allowed)
    let (latest, overflow) = now.addingReportingOverflow(longest)
    if !overflow, state.throttledUntil > latest { state.throttledUntil = latest }
  }

  /// How many seconds codes are still refused; 0 for not at all.
  static func secondsLeft(_ state: borrowing LoginState, now: Int64) -> Int64 {
    guard state.throttledUntil > 0 else { return 0 }
    let (left, overflow) = state.throttledUntil.subtractingReportingOverflow(now)
    return overflow || left < 0 ? 0 : left
  }

  /// Counts a failure.
  static func countFailure(in state: inout LoginState, now: Int64, allowed: UInt32) {
    if state.failures < UInt32.max { state.failures &+= 1 }
    let delay = delay(failures: state.failures, allowed: allowed)
    guard delay > 0 else { return }
    let (until, overflow) = now.addingReportingOverflow(delay)
    state.throttledUntil = overflow ? Int64.max : until
  }
}
