internal import OneTimePassword

extension Device {
  /// The first moving factor that cannot have been used yet. For a clock, the step after the window; for a
  /// counter there is none.
  func factorAfterWindow(now: Int64, window: UInt64) -> UInt64 {
    guard case .totp(let period) = kind, let step = TimeStep(at: now, period: period) else { return UInt64.max }
    let (last, overflow) = step.rawValue.addingReportingOverflow(window &+ 1)
    return overflow ? UInt64.max : last
  }
}
