internal import Enrollment
internal import OneTimePassword

/// The moving factors at which a code of a device is looked for.
struct FactorRange {
  /// The first and the last factor that are looked at: the window.
  let first: UInt64
  let last: UInt64

  /// The factor that a code of this moment has.
  let current: UInt64

  /// The lowest factor that is still good.
  let next: UInt64

  /// Nil where the device has no code now: the clock is before the epoch, or the counter was lost.
  init?(of device: Device, state: LoginState.DeviceState, limits: VerificationLimits, now: Int64) {
    switch device.kind {
    case .totp(let period):
      guard let step = TimeStep(at: now, period: period) else { return nil }
      current = step.rawValue
      next = state.nextFactor
      let (early, isBeforeZero) = current.subtractingReportingOverflow(limits.window)
      first = isBeforeZero ? 0 : early
      // A step is at most 2⁶³ / 15, so this does not overflow.
      last = current &+ limits.window
    case .hotp(let counter):
      current = Swift.max(state.nextFactor, counter)
      guard current <= LoginState.highestCounter else { return nil }
      next = current
      // The counter used last is looked at too: another near it may have the same code, which is good once.
      first = current > counter ? current &- 1 : current
      let (late, overflow) = current.addingReportingOverflow(limits.lookAhead)
      last = overflow ? LoginState.highestCounter : Swift.min(late, LoginState.highestCounter)
    }
  }

  /// How far a factor is from the current one; negative for an earlier one.
  func steps(to factor: UInt64) -> Int64 { Int64(truncatingIfNeeded: factor &- current) }
}
