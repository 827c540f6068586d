public import Enrollment

/// Throttling and lockout after failed codes.
///
/// After the allowed number of consecutive failures, codes are refused for 30 seconds, doubling with each further
/// failure up to 15 minutes. After 100 (NIST SP 800-63B section 5.2.2), codes are locked.
enum Throttle {
  static var shortestDelay: Int64 { 30 }
  static var longestDelay: Int64 { 900 }
  static var lockedAt: UInt32 { 100 }

  /// In seconds.
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

  /// Fields that must be saved even if a refusal is not counted. Otherwise the delay that ``trim(_:now:allowed:)``
  /// shortened would start again each time.
  struct Standing: Equatable {
    private let throttledUntil: Int64
    private let earlyGuesses: UInt32

    init(_ state: borrowing LoginState) {
      throttledUntil = state.throttledUntil
      earlyGuesses = state.earlyGuesses
    }
  }

  static func isLocked(_ state: borrowing LoginState) -> Bool { state.failures >= lockedAt }

  /// Shortens throttling that outlasts its delay because the clock was set back.
  static func trim(_ state: inout LoginState, now: Int64, allowed: UInt32) {
    // Another service may allow fewer failures and may have set any delay.
    let longest = state.failures < allowed ? longestDelay : delay(failures: state.failures, allowed: allowed)
    let (latest, overflow) = now.addingReportingOverflow(longest)
    if !overflow, state.throttledUntil > latest { state.throttledUntil = latest }
  }

  /// The remaining throttling; 0 if there is none.
  static func secondsLeft(_ state: borrowing LoginState, now: Int64) -> Int64 {
    guard state.throttledUntil > 0 else { return 0 }
    let (left, overflow) = state.throttledUntil.subtractingReportingOverflow(now)
    return overflow || left < 0 ? 0 : left
  }

  static func countFailure(in state: inout LoginState, now: Int64, allowed: UInt32) {
    if state.failures < UInt32.max { state.failures &+= 1 }
    let delay = delay(failures: state.failures, allowed: allowed)
    guard delay > 0 else { return }
    let (until, overflow) = now.addingReportingOverflow(delay)
    state.throttledUntil = overflow ? Int64.max : until
  }
}

/// For reports.
public enum Throttling: Equatable, Sendable {
  case no
  /// Unix time.
  case until(Int64)
  /// Until a backup code is accepted or root runs `twofactor unlock`.
  case locked

  /// `now` is Unix time.
  public init(_ state: LoginState, limits: VerificationLimits, now: Int64) {
    var state = state
    Throttle.trim(&state, now: now, allowed: limits.maximumFailures)
    if Throttle.isLocked(state) {
      self = .locked
    } else {
      self = Throttle.secondsLeft(state, now: now) > 0 ? .until(state.throttledUntil) : .no
    }
  }
}
