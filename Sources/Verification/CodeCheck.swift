public import Enrollment
public import FixedMemory
internal import OneTimePassword

/// One code, checked against an enrolment on the disk: what a login does, and every question for a code in the
/// setup command.
public struct CodeCheck: ~Copyable, Sendable {
  /// What became of the code.
  public let verdict: Verdict

  /// Whether the device that accepted it counts; false for a clock or a backup code.
  public private(set) var isCounterBased = false

  private var codesLeft: UInt8 = 0
  private var digitCount: UInt8 = 0

  /// How many backup codes are left where one was accepted; else 0.
  public var backupCodesLeft: Int { Int(codesLeft) }

  /// How many digits the code that was accepted has; 0 for a backup code, or none.
  public var digits: Int { Int(digitCount) }

  /// The name of the device that accepted it; empty for none.
  public private(set) var deviceName: ByteText

  /// Hands over the name of the device.
  public consuming func takeDeviceName() -> ByteText { deviceName }

  /// When the user last got in before, where that was by a backup code, in seconds since the epoch; else 0.
  public let backupCodeUsedAt: Int64

  /// Checks a code and uses it up.
  ///
  /// Under one lock the files are read, it is decided, and the new state is on the disk before this returns: of
  /// any number of sessions that check one code at once, one gets it accepted.
  ///
  /// - Parameters:
  ///   - reply: What the user typed.
  ///   - directory: The enrolment.
  ///   - limits: What the administrator allows.
  ///   - graceKey: The service and the address, where they are to be remembered when the code is accepted.
  ///   - countsFailure: Whether a wrong code counts.
  /// - Throws: Why the files cannot be read, trusted or written. Nothing is accepted then.
  public init(
    _ reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, limits: VerificationLimits,
    graceKey: GraceKey? = nil, countsFailure: Bool = true
  ) throws(EnrollmentFailure) {
    // Hashed before the lock is taken: it takes a while, and somebody who guesses backup codes is not to keep
    // the owner waiting.
    try self.init(
      reply, hash: BackupCodeAttempt.hash(reply, in: directory, limits: limits), in: directory, limits: limits,
      graceKey: graceKey, countsFailure: countsFailure)
  }

  @_optimize(speed)
  private init(
    _ reply: borrowing Reply, hash: borrowing SecretBuffer, in directory: borrowing EnrollmentDirectory,
    limits: VerificationLimits, graceKey: GraceKey?, countsFailure: Bool
  ) throws(EnrollmentFailure) {
    let deviceName = ByteText(capacity: DeviceName.lengths.upperBound)
    guard deviceName.hasMemory else { throw EnrollmentFailure(.io, "device", "out of memory") }
    var enrollment = try LockedEnrollment.locking(
      directory, window: limits.window, failuresAfterLoss: limits.failuresAfterLoss)
    // The time is asked when the lock is held: waiting for it may have taken a while.
    let now = SystemClock.now
    let before = Throttle.Standing(enrollment.state.value)
    let last = enrollment.state.value.lastUsedAt
    let backupCodeUsedAt = last == enrollment.state.value.backupCodeUsedAt ? last : 0
    let verdict = try verify(
      reply, hash: hash.bytes, credential: enrollment.credential, state: &enrollment.state.value, limits: limits,
      now: now)
    if verdict.isAcceptance, let graceKey { enrollment.state.value.beginGrace(graceKey, now: now) }
    let isKept = countsFailure || verdict.isAcceptance
    if isKept, verdict.isWorthSaving || before != Throttle.Standing(enrollment.state.value) { try enrollment.save() }

    self.verdict = verdict
    self.backupCodeUsedAt = backupCodeUsedAt
    self.deviceName = deviceName
    if case .acceptedBackupCode = verdict {
      codesLeft = UInt8(truncatingIfNeeded: enrollment.state.value.backupCodesLeft(of: enrollment.credential))
    }
    if case .acceptedCode(let index) = verdict, let device = enrollment.credential.device(at: index) {
      digitCount = device.digits.rawValue
      self.deviceName.append(enrollment.credential.name(ofDeviceAt: index))
      if case .hotp = device.kind { isCounterBased = true }
    }
  }
}

extension Verdict {
  /// Whether the state must reach the disk. What is refused without being counted changes nothing, but for what
  /// ``Throttle/Standing`` has of it.
  var isWorthSaving: Bool {
    switch self {
    case .acceptedCode, .acceptedBackupCode, .wrongCode, .outsideWindow: true
    case .reusedCode, .throttled, .locked: false
    }
  }
}
