public import Enrollment
internal import FixedMemory
internal import OneTimePassword

/// How far from now a code is looked for that is not in the window, to say why it is refused.
private var diagnosedSteps: UInt64 { 20 }

/// Decides about a reply. Neither a clock nor a file is touched: what goes in decides what comes out.
///
/// - Parameters:
///   - reply: What the user typed.
///   - hash: The hash of the reply as a backup code under the setting of the credential; empty where it was not
///     made.
///   - credential: What the user enrolled with.
///   - state: The state of the enrolment; it becomes what is to be saved before the verdict is told to anybody.
///   - limits: What the administrator allows.
///   - now: Seconds since the epoch.
/// - Returns: The verdict.
/// - Throws: A failure where there is no memory.
@_optimize(speed)
public func verify(
  _ reply: borrowing Reply, hash: Span<UInt8>, credential: borrowing Credential, state: inout LoginState,
  limits: VerificationLimits, now: Int64
) throws(EnrollmentFailure) -> Verdict {
  Throttle.trim(&state, now: now, allowed: limits.maximumFailures)

  let secondsLeft = Throttle.secondsLeft(state, now: now)
  let isEarly = Throttle.isLocked(state) || secondsLeft > 0
  // Ten characters nobody guesses. Eight digits can be guessed: while codes are refused, so many are tried and no more.
  let isGuess = isEarly && reply.isScratchCode
  if !isGuess || state.earlyGuesses < Throttle.lockedAt {
    if let verdict = checkBackupCode(reply, hash, credential, &state, limits, now: now) {
      return verdict
    }
    if isGuess, hash.count > 0 { state.earlyGuesses &+= 1 }
  }
  if isEarly {
    return Throttle.isLocked(state) ? .locked : .throttled(seconds: secondsLeft)
  }

  let finding = try search(for: reply, credential, state, limits, now: now)
  // A code that two steps near each other have, as happens to one in a million, is good once.
  if finding.isReused { return .reusedCode }
  if let match = finding.match {
    state[device: match.device] = LoginState.DeviceState(nextFactor: match.factor &+ 1, lastUsedAt: now)
    state.lastUsedAt = now
    state.forgetFailures()
    return .acceptedCode(device: match.device)
  }

  Throttle.countFailure(in: &state, now: now, allowed: limits.maximumFailures)
  if let steps = finding.stepsOutside { return .outsideWindow(steps: steps) }
  return .wrongCode(failures: state.failures)
}

/// Tries a reply as a backup code, with which the owner gets in while somebody else is guessing. Nil where it is none.
private func checkBackupCode(
  _ reply: borrowing Reply, _ hash: Span<UInt8>, _ credential: borrowing Credential, _ state: inout LoginState,
  _ limits: VerificationLimits, now: Int64
) -> Verdict? {
  guard limits.acceptsBackupCodes, hash.count > 0 else { return nil }
  var found: Int?
  var indices = Counter(to: Credential.maximumBackupCodes)
  while let index = indices.next() {
    guard index < credential.backupCodeCount else { continue }
    let isSame = credential.backupCodeHash(at: index).isEqualInConstantTime(to: hash)
    if isSame, credential.isScratchCode(at: index) == reply.isScratchCode { found = index }
  }
  guard let index = found else { return nil }
  guard !state.isSpent(backupCodeAt: index) else { return .reusedCode }
  state.spend(backupCodeAt: index)
  state.backupCodeUsedAt = now
  state.lastUsedAt = now
  state.forgetFailures()
  return .acceptedBackupCode(index: index)
}

/// What was found out about a code of a device.
private struct Finding {
  /// The device that has the code, and the moving factor.
  var match: (device: Int, factor: UInt64)?

  /// Whether a device has it in its window, used up.
  var isReused = false

  /// How far outside the window a device has it.
  var stepsOutside: Int64?
}

/// A device whose codes are compared with one that was typed.
private struct Candidate: ~Copyable {
  /// What was typed, read as a code of this device.
  let typed: UInt32
  let device: Device
  let range: FactorRange
  let secret: SharedSecret

  /// Nil where the device has no code of so many digits now.
  init?(
    _ index: Int, for reply: borrowing Reply, _ credential: borrowing Credential, _ state: borrowing LoginState,
    _ limits: VerificationLimits, now: Int64
  ) throws(EnrollmentFailure) {
    guard let device = credential.device(at: index), let typed = reply.code(device.digits),
      let range = FactorRange(of: device, state: state[device: index], limits: limits, now: now)
    else { return nil }
    guard let secret = SharedSecret(credential.secret(ofDeviceAt: index), algorithm: device.algorithm) else {
      throw EnrollmentFailure(.io, "credential", "no code can be computed: out of memory, or refused by libcrypto")
    }
    self.typed = typed
    self.device = device
    self.range = range
    self.secret = secret
  }

  borrowing func code(at factor: UInt64) throws(EnrollmentFailure) -> UInt32 {
    guard let code = secret.code(at: factor, digits: device.digits) else {
      throw EnrollmentFailure(.io, "credential", "no code can be computed: libcrypto failed")
    }
    return code
  }
}

/// Looks for a code among all the devices, each time through the whole window: the time it takes does not tell
/// which step or device matched.
@_optimize(speed)
private func search(
  for reply: borrowing Reply, _ credential: borrowing Credential, _ state: borrowing LoginState,
  _ limits: VerificationLimits, now: Int64
) throws(EnrollmentFailure) -> Finding {
  var finding = Finding()
  var indices = Counter(to: credential.deviceCount)
  while let index = indices.next() {
    guard let candidate = try Candidate(index, for: reply, credential, state, limits, now: now) else { continue }
    var factor = candidate.range.first
    while true {
      let isSame = try candidate.code(at: factor) ^ candidate.typed == 0
      if isSame, factor >= candidate.range.next, finding.match == nil { finding.match = (index, factor) }
      if isSame, factor < candidate.range.next { finding.isReused = true }
      guard factor < candidate.range.last else { break }
      factor &+= 1
    }
  }
  guard finding.match == nil, !finding.isReused else { return finding }

  // It is wrong for every device. Only now is the time taken to find out why.
  indices = Counter(to: credential.deviceCount)
  while let index = indices.next() {
    guard let candidate = try Candidate(index, for: reply, credential, state, limits, now: now) else { continue }
    try diagnose(candidate, &finding)
  }
  return finding
}

/// Looks for a code beyond the window, to tell the user and the log why it is refused.
private func diagnose(
  _ candidate: borrowing Candidate, _ finding: inout Finding
) throws(EnrollmentFailure) {
  let range = candidate.range
  // The steps of a clock count from now, with the window; those of a counter from the end of the look-ahead.
  let isOfClock = if case .totp = candidate.device.kind { true } else { false }
  let reach = diagnosedSteps &- (isOfClock ? range.last &- range.current : 0)
  var distance: UInt64 = 0
  while distance < reach {
    distance &+= 1
    let (earlier, isBeforeZero) = range.first.subtractingReportingOverflow(distance)
    if !isBeforeZero, try candidate.code(at: earlier) == candidate.typed {
      switch candidate.device.kind {
      case .totp: finding.stepsOutside = finding.stepsOutside ?? range.steps(to: earlier)
      case .hotp: finding.isReused = true
      }
    }
    let (later, isBeyondLast) = range.last.addingReportingOverflow(distance)
    if !isBeyondLast, try candidate.code(at: later) == candidate.typed {
      finding.stepsOutside = finding.stepsOutside ?? range.steps(to: later)
    }
  }
}
