public import Enrollment

/// Whether codes of an enrolment are refused unseen.
public enum Throttling: Equatable, Sendable {
  case no
  /// Until a moment, in seconds since the epoch.
  case until(Int64)
  /// Until a backup code is used, or root unlocks them.
  case locked

  /// What a login would go by.
  ///
  /// - Parameters:
  ///   - state: The state of the enrolment.
  ///   - limits: What the administrator allows.
  ///   - now: Seconds since the epoch.
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
