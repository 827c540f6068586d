public import Enrollment
public import FixedMemory
internal import OneTimePassword
internal import SystemFiles

/// A code checked against an enrollment, at a login or in the setup command.
public struct CodeCheck: ~Copyable, Sendable {
  /// The verdict.
  public let verdict: Verdict

  /// Whether the accepted code is an HOTP code.
  public private(set) var isCounterBased = false

  /// The remaining backup codes if one was accepted; else 0.
  public private(set) var backupCodesLeft = 0

  /// The digits of the accepted code; 0 for a backup code or none.
  public private(set) var digits = 0

  /// The device of the accepted code, or of one outside the window; empty if none.
  public private(set) var deviceName: ByteText

  /// If a failure was counted first, the distance from the expected time step or counter; negative if late.
  public private(set) var offset: Int64 = 0

  /// Moves ``deviceName`` out.
  public consuming func takeDeviceName() -> ByteText { deviceName }

  /// Unix time of the previous login if it used a backup code; else 0.
  public let backupCodeUsedAt: Int64

  /// Checks a code and marks it as used. Reads, decides and flushes under one lock, so that only one of parallel
  /// sessions can use a code. An accepted code starts a grace period for `graceKey`. Without `countsFailure`, a refused
  /// code changes nothing.
  public init<Place: OpenEnrollment & ~Copyable>(
    _ reply: borrowing Reply, in place: borrowing Place, limits: VerificationLimits,
    graceKey: GraceKey? = nil, countsFailure: Bool = true
  ) throws(EnrollmentFailure) {
    // Hash without the lock, so that slow guesses at backup codes do not delay the owner's login.
    try self.init(
      reply, hash: BackupCodeAttempt.hash(reply, in: place, limits: limits), in: place, limits: limits,
      graceKey: graceKey, countsFailure: countsFailure)
  }

  @_optimize(speed)
  private init<Place: OpenEnrollment & ~Copyable>(
    _ reply: borrowing Reply, hash: borrowing SecretBuffer, in place: borrowing Place,
    limits: VerificationLimits, graceKey: GraceKey?, countsFailure: Bool
  ) throws(EnrollmentFailure) {
    let deviceName = ByteText(capacity: DeviceName.lengths.upperBound)
    guard deviceName.hasMemory else { throw EnrollmentFailure(.io, "device", "out of memory") }
    var enrollment = try place.locked(limits)
    // Waiting for the lock may have taken seconds.
    let now = SystemClock.now
    let before = Throttle.Standing(enrollment.state.value)
    let last = enrollment.state.value.lastUsedAt
    let backupCodeUsedAt = last == enrollment.state.value.backupCodeUsedAt ? last : 0
    let verdict = try verify(
      reply, hash: hash.bytes, credential: enrollment.credential, state: &enrollment.state.value, limits: limits,
      now: now)
    if verdict.refusal == nil, let graceKey { enrollment.state.value.beginGrace(graceKey, now: now) }
    let isKept = countsFailure || verdict.refusal == nil
    if isKept, verdict.changesState || before != Throttle.Standing(enrollment.state.value) { try enrollment.save() }

    self.verdict = verdict
    self.backupCodeUsedAt = backupCodeUsedAt
    self.deviceName = deviceName
    if case .acceptedBackupCode = verdict {
      backupCodesLeft = enrollment.state.value.backupCodesLeft(of: enrollment.credential)
    }
    if case .acceptedCode(let index) = verdict, let device = enrollment.credential.device(at: index) {
      digits = Int(device.digits.rawValue)
      self.deviceName.append(enrollment.credential.name(ofDeviceAt: index))
      if case .hotp = device.kind { isCounterBased = true }
    }
    if case .refused(.outsideWindow(_, let index)) = verdict {
      self.deviceName.append(enrollment.credential.name(ofDeviceAt: index))
    }
  }
}

/// A check in a process that the user can stop or kill at any moment.
extension CodeCheck {
  /// Checks a code as a login does. If `keepsCode`, does not use up a right code. A code of a time step or counter
  /// later than the accepted ones is a wrong code.
  ///
  /// Saves a failure before the verdict is known, and takes it back if the code is right. Otherwise, the user could
  /// stop the process after the verdict, and kill it before it counts a wrong code.
  public init<Place: OpenEnrollment & ~Copyable>(
    countingFirst reply: borrowing Reply, keepsCode: Bool, in place: borrowing Place,
    limits: VerificationLimits
  ) throws(EnrollmentFailure) {
    try self.init(
      countingFirst: reply, hash: BackupCodeAttempt.hash(reply, in: place, limits: limits), keepsCode: keepsCode,
      in: place, limits: limits)
  }

  private init<Place: OpenEnrollment & ~Copyable>(
    countingFirst reply: borrowing Reply, hash: borrowing SecretBuffer, keepsCode: Bool,
    in place: borrowing Place, limits: VerificationLimits
  ) throws(EnrollmentFailure) {
    let deviceName = ByteText(capacity: DeviceName.lengths.upperBound)
    guard deviceName.hasMemory else { throw EnrollmentFailure(.io, "device", "out of memory") }
    var enrollment = try place.locked(limits)
    let now = SystemClock.now
    let before = enrollment.state.value
    Throttle.countFailure(in: &enrollment.state.value, now: now, allowed: limits.maximumFailures)
    if reply.isScratchCode { enrollment.state.value.earlyGuesses &+= 1 }
    try enrollment.save()

    enrollment.state.value = before
    var verdict = try verify(
      reply, hash: hash.bytes, credential: enrollment.credential, state: &enrollment.state.value, limits: limits,
      now: now)
    // A different answer would tell a guesser to wait until this code is valid.
    if case .refused(.outsideWindow(let steps, _)) = verdict, steps > 0 {
      verdict = .refused(.wrongCode(failures: enrollment.state.value.failures))
    }
    let after = enrollment.state.value
    if keepsCode, verdict.refusal == nil { enrollment.state.value = before }
    try enrollment.saveAgain(enrollment.state.value)

    self.verdict = verdict
    backupCodeUsedAt = !keepsCode && before.lastUsedAt == before.backupCodeUsedAt ? before.lastUsedAt : 0
    self.deviceName = deviceName
    switch verdict {
    case .acceptedBackupCode: backupCodesLeft = enrollment.state.value.backupCodesLeft(of: enrollment.credential)
    case .acceptedCode(let index):
      if let device = enrollment.credential.device(at: index) {
        digits = Int(device.digits.rawValue)
        self.deviceName.append(enrollment.credential.name(ofDeviceAt: index))
        if case .hotp = device.kind { isCounterBased = true }
        let next = before[device: index].nextFactor
        offset = device.distance(to: after[device: index].nextFactor &- 1, next: next, now: now)
      }
    case .refused(.outsideWindow(_, let index)):
      self.deviceName.append(enrollment.credential.name(ofDeviceAt: index))
    case .refused: break
    }
  }
}

extension Device {
  /// From the current time step, or the expected counter; `next` is the lowest unused factor.
  fileprivate func distance(to factor: UInt64, next: UInt64, now: Int64) -> Int64 {
    switch kind {
    case .totp: return Int64(truncatingIfNeeded: factor &- (timeStep(at: now) ?? factor))
    case .hotp(let counter): return Int64(truncatingIfNeeded: factor &- Swift.max(counter, next))
    }
  }
}

/// Passes a login without a code during a grace period.
public enum GraceCheck {
  /// Returns whether a grace period of `period` seconds applies, and marks it as most recently used. Returns false
  /// during throttling or a lockout.
  public static func passes<Place: OpenEnrollment & ~Copyable>(
    _ key: GraceKey, in place: borrowing Place, period: Int64, limits: VerificationLimits
  ) throws(EnrollmentFailure) -> Bool {
    var enrollment = try place.locked(limits)
    let now = SystemClock.now
    Throttle.trim(&enrollment.state.value, now: now, allowed: limits.maximumFailures)
    let dropsAny = enrollment.state.value.dropGrace(after: now)
    let passes =
      !Throttle.isLocked(enrollment.state.value) && Throttle.secondsLeft(enrollment.state.value, now: now) == 0
      && enrollment.state.value.usesGrace(key, now: now, period: period)
    if passes || dropsAny { try enrollment.save() }
    return passes
  }
}

/// Makes a refusal take as long for a user who is unknown or not enrolled as for a wrong code.
public enum Decoy {
  /// Verifies a reply against a credential of no account. `now` is Unix time.
  public static func check(_ reply: borrowing Reply, limits: VerificationLimits, now: Int64) {
    do throws(EnrollmentFailure) {
      if limits.acceptsBackupCodes, reply.backupCode.bytes.count > 0, !reply.isScratchCode {
        _ = try BackupCodeAttempt.decoy(reply)
      }
      guard var text = SecretBuffer(capacity: 256), text.append(credential) else { return }
      let credential = try Credential(parsing: text)
      var state = LoginState(generation: credential.generation)
      _ = try verify(reply, hash: Literal("").bytes, credential: credential, state: &state, limits: limits, now: now)
    } catch {
      // The caller refuses the login in any case.
    }
  }

  private static var credential: Literal {
    """
    twofactor-credential 1
    generation 00000000000000000000000000000000
    enabled 0
    device type=totp algorithm=sha1 digits=6 period=30 enabled=0 secret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA name=nobody
    end

    """
  }
}

/// Hashes a reply once for all backup codes, which share a salt.
private enum BackupCodeAttempt {
  /// Returns an empty hash if the reply is no backup code, or none are accepted.
  static func hash<Place: OpenEnrollment & ~Copyable>(
    _ reply: borrowing Reply, in place: borrowing Place, limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer {
    guard limits.acceptsBackupCodes, reply.backupCode.bytes.count > 0 else { return try memory() }
    return try hash(reply, with: place.readCredential())
  }

  private static func hash(
    _ reply: borrowing Reply, with credential: borrowing Credential
  ) throws(EnrollmentFailure) -> SecretBuffer {
    if reply.isScratchCode, !credential.hasScratchCodes { return try memory() }
    if credential.backupCodeCount == 0 { return try decoy(reply) }
    return try hash(reply, setting: credential.backupCodeSetting())
  }

  /// Takes as long as a hash, but returns an empty one.
  static func decoy(_ reply: borrowing Reply) throws(EnrollmentFailure) -> SecretBuffer {
    var hash = try hash(reply, setting: BackupCodeHash.decoySetting.bytes)
    hash.removeAll()
    return hash
  }

  private static func memory() throws(EnrollmentFailure) -> SecretBuffer {
    guard let memory = SecretBuffer(capacity: BackupCodeHash.lengths.upperBound &+ 1) else {
      throw EnrollmentFailure(.io, "backup code", "out of memory")
    }
    return memory
  }

  private static func hash(
    _ reply: borrowing Reply, setting: Span<UInt8>
  ) throws(EnrollmentFailure) -> SecretBuffer {
    var hash = try memory()
    guard BackupCodeHash.make(reply.backupCode.bytes, setting: setting, into: &hash) else {
      throw EnrollmentFailure(.io, "backup code", "cannot be hashed by libcrypt")
    }
    return hash
  }
}

extension OpenEnrollment where Self: ~Copyable {
  /// Acquires the lock, and reads credential and state.
  public borrowing func locked(_ limits: VerificationLimits) throws(EnrollmentFailure) -> LockedEnrollment<Lock> {
    try locked(window: limits.window, failuresAfterLoss: limits.failuresAfterLoss)
  }
}
