public import Enrollment
public import FixedMemory

/// One code, checked against an enrolment on the disk: what a login does, and every question for a code in the
/// setup command.
public struct CodeCheck: Sendable {
  /// What became of the code.
  public let verdict: Verdict

  /// How many backup codes are left.
  public let backupCodesLeft: Int

  /// Whether the device that accepted it counts; false for a clock or a backup code.
  public let isCounterBased: Bool

  /// The name of the device that accepted it; empty for none.
  public let deviceName: DeviceNameText

  /// Checks a code and uses it up.
  ///
  /// Under one lock the files are read, it is decided, and the new state is on the disk before this returns: of
  /// any number of sessions that check one code at once, one gets it accepted.
  ///
  /// - Parameters:
  ///   - reply: What the user typed.
  ///   - directory: The enrolment.
  ///   - limits: What the administrator allows.
  ///   - usesUp: False to leave the state as it is, whatever the verdict.
  ///   - clock: Tells the seconds since the epoch.
  /// - Throws: Why the files cannot be read, trusted or written. Nothing is accepted then.
  public init(
    _ reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, limits: VerificationLimits,
    usesUp: Bool = true, clock: () -> Int64
  ) throws(EnrollmentFailure) {
    // Hashed before the lock is taken: it takes a while, and somebody who guesses backup codes is not to keep
    // the owner waiting.
    try self.init(
      reply, hash: BackupCodeAttempt.hash(reply, in: directory, limits: limits), in: directory, limits: limits,
      usesUp: usesUp, clock: clock)
  }

  private init(
    _ reply: borrowing Reply, hash: borrowing SecretBuffer, in directory: borrowing EnrollmentDirectory,
    limits: VerificationLimits, usesUp: Bool, clock: () -> Int64
  ) throws(EnrollmentFailure) {
    let enrollment = try LockedEnrollment(locking: directory, window: limits.window, clock: clock)
    let decision = try verify(
      reply, hash: hash.bytes, credential: enrollment.credential, state: enrollment.state, limits: limits,
      now: clock())
    if usesUp, decision.isWorthSaving(over: enrollment.state) { try enrollment.save(decision.state) }

    verdict = decision.verdict
    backupCodesLeft = decision.state.backupCodesLeft(of: enrollment.credential)
    var name = DeviceNameText()
    var isCounterBased = false
    if case .acceptedCode(let index) = decision.verdict {
      name.append(enrollment.credential.name(ofDeviceAt: index))
      if case .hotp = enrollment.credential.device(at: index)?.kind { isCounterBased = true }
    }
    deviceName = name
    self.isCounterBased = isCounterBased
  }
}

extension Verification {
  /// Whether the state must reach the disk. What is refused without being counted changes nothing, but for a
  /// time that was cut because the clock was set back: kept, or nobody would ever come to its end.
  func isWorthSaving(over state: LoginState) -> Bool {
    switch verdict {
    case .acceptedCode, .acceptedBackupCode, .wrongCode, .outsideWindow: true
    case .reusedCode, .throttled, .locked: self.state.throttledUntil != state.throttledUntil
    }
  }
}
