public import Enrollment
internal import FixedMemory

/// Whether a login needs no new code because its address passed with one a short while ago.
public enum GraceCheck {
  /// Looks for the address, and marks it as the one used last. When it is found, that is on the disk.
  ///
  /// - Parameters:
  ///   - key: The service and the address.
  ///   - directory: The enrolment.
  ///   - period: For how many seconds an address is remembered.
  ///   - limits: What the administrator allows.
  /// - Returns: Whether no code is needed. Never while codes are throttled or locked: somebody is guessing.
  /// - Throws: Why the files cannot be read, trusted or written.
  public static func passes(
    _ key: GraceKey, in directory: borrowing EnrollmentDirectory, period: Int64, limits: VerificationLimits
  ) throws(EnrollmentFailure) -> Bool {
    var enrollment = try LockedEnrollment.locking(
      directory, window: limits.window, failuresAfterLoss: limits.failuresAfterLoss)
    let now = SystemClock.now
    Throttle.trim(&enrollment.state.value, now: now, allowed: limits.maximumFailures)
    let dropsAny = enrollment.state.value.dropGrace(after: now)
    guard !Throttle.isLocked(enrollment.state.value), Throttle.secondsLeft(enrollment.state.value, now: now) == 0,
      enrollment.state.value.usesGrace(key, now: now, period: period)
    else {
      if dropsAny { try enrollment.save() }
      return false
    }
    try enrollment.save()
    return true
  }
}
