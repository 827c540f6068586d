public import Enrollment
internal import FixedMemory
internal import OneTimePassword

/// The result of verification.
public enum Verdict: Equatable, Sendable {
  /// By the device at this index.
  case acceptedCode(device: Int)

  /// The backup code at this index.
  case acceptedBackupCode(index: Int)

  case refused(Refusal)

  /// Nil if the code is accepted.
  public var refusal: Refusal? {
    if case .refused(let refusal) = self { refusal } else { nil }
  }

  /// Whether to save the state. See also ``Throttle/Standing``.
  var changesState: Bool { refusal?.consequences.counts ?? true }
}

/// The limits of the policy.
public struct VerificationLimits: Equatable, Sendable {
  /// Time steps before and after the current one, 0 to 10.
  public var window: UInt64 = 1

  /// Counters after the expected one, 1 to 100.
  public var lookAhead: UInt64 = 10

  /// Consecutive failures before throttling, 1 to 100.
  public var maximumFailures: UInt32 = 5

  /// Whether backup codes are accepted.
  public var acceptsBackupCodes = true

  /// Assumed after the loss of a state: one more failure starts throttling.
  public var failuresAfterLoss: UInt32 { maximumFailures &- 1 }

  /// The default limits.
  public init() {}
}

/// Reads no clock and no file.
///
/// - Parameters:
///   - reply: The user's reply.
///   - hash: The hash of the reply as a backup code, or empty.
///   - credential: The credential.
///   - state: Updated. Save it before you disclose the verdict.
///   - limits: The policy.
///   - now: Unix time.
/// - Returns: The verdict.
/// - Throws: A failure if memory is short or libcrypto fails.
@_optimize(speed)
public func verify(
  _ reply: borrowing Reply, hash: Span<UInt8>, credential: borrowing Credential, state: inout LoginState,
  limits: VerificationLimits, now: Int64
) throws(EnrollmentFailure) -> Verdict {
  Throttle.trim(&state, now: now, allowed: limits.maximumFailures)

  let secondsLeft = Throttle.secondsLeft(state, now: now)
  let isEarly = Throttle.isLocked(state) || secondsLeft > 0
  // Scratch codes are short, so only 100 wrong ones are checked during throttling or a lockout.
  let isGuess = isEarly && reply.isScratchCode
  if !isGuess || state.earlyGuesses < Throttle.lockedAt {
    if let verdict = checkBackupCode(reply, hash, credential, &state, limits, now: now) {
      return verdict
    }
    if isGuess, hash.count > 0 { state.earlyGuesses &+= 1 }
  }
  if isEarly { return .refused(Throttle.isLocked(state) ? .locked : .throttled(seconds: secondsLeft)) }

  let finding = try search(for: reply, credential, state, limits, now: now)
  // One code in a million is valid for two nearby time steps. It is accepted only once.
  if finding.isReused { return .refused(.reusedCode) }
  if let match = finding.match {
    state[device: match.device] = LoginState.DeviceState(nextFactor: match.factor &+ 1, lastUsedAt: now)
    state.lastUsedAt = now
    state.forgetFailures()
    return .acceptedCode(device: match.device)
  }

  guard reply.isCountedGuess else { return .refused(.wrongBackupCode(failures: state.failures)) }
  Throttle.countFailure(in: &state, now: now, allowed: limits.maximumFailures)
  if let outside = finding.outside { return .refused(.outsideWindow(steps: outside.steps, device: outside.device)) }
  return .refused(.wrongCode(failures: state.failures))
}

/// Runs even during throttling. Returns nil if the reply is no backup code.
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
  guard !state.isSpent(backupCodeAt: index) else { return .refused(.reusedBackupCode) }
  state.spend(backupCodeAt: index)
  state.backupCodeUsedAt = now
  state.lastUsedAt = now
  state.forgetFailures()
  return .acceptedBackupCode(index: index)
}

struct FactorRange {
  let first: UInt64
  let last: UInt64

  let current: UInt64

  /// The lowest unused factor.
  let next: UInt64

  /// Nil if the device has no code: the clock is before the epoch, or the counter was lost.
  init?(of device: Device, state: LoginState.DeviceState, limits: VerificationLimits, now: Int64) {
    switch device.kind {
    case .totp:
      guard let step = device.timeStep(at: now) else { return nil }
      current = step
      next = state.nextFactor
      let (early, isBeforeZero) = current.subtractingReportingOverflow(limits.window)
      first = isBeforeZero ? 0 : early
      // No overflow: a time step is at most 2⁶³ / 15 + 3000.
      last = current &+ limits.window
    case .hotp(let counter):
      current = Swift.max(state.nextFactor, counter)
      guard current <= LoginState.highestCounter else { return nil }
      next = current
      // Include the last used counter: if a later one has the same code, that code counts as reused.
      first = current > counter ? current &- 1 : current
      let (late, overflow) = current.addingReportingOverflow(limits.lookAhead)
      last = overflow ? LoginState.highestCounter : Swift.min(late, LoginState.highestCounter)
    }
  }

  /// Negative for earlier factors.
  func steps(to factor: UInt64) -> Int64 { Int64(truncatingIfNeeded: factor &- current) }
}

private struct Finding {
  var match: (device: Int, factor: UInt64)?

  var isReused = false

  /// The distance of a code outside the window.
  var outside: (device: Int, steps: Int64)?
}

private struct Candidate: ~Copyable {
  let typed: UInt32
  let device: Device
  let range: FactorRange
  let secret: SharedSecret

  /// Nil if the device has no code of this length now.
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

/// Compares a reply with the codes of all devices. Always searches whole windows, so that the time does not reveal a
/// match.
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

  // A wrong code may take longer, depending on how wrong it is.
  indices = Counter(to: credential.deviceCount)
  while let index = indices.next() {
    guard let candidate = try Candidate(index, for: reply, credential, state, limits, now: now) else { continue }
    try diagnose(candidate, index, &finding)
  }
  return finding
}

private var diagnosedSteps: UInt64 { 20 }

private func diagnose(
  _ candidate: borrowing Candidate, _ index: Int, _ finding: inout Finding
) throws(EnrollmentFailure) {
  let range = candidate.range
  // Searches time steps from the current one, but counters from the end of the look-ahead.
  let isOfClock = if case .totp = candidate.device.kind { true } else { false }
  let reach = diagnosedSteps &- (isOfClock ? range.last &- range.current : 0)
  var distance: UInt64 = 0
  while distance < reach {
    distance &+= 1
    let (earlier, isBeforeZero) = range.first.subtractingReportingOverflow(distance)
    if !isBeforeZero, try candidate.code(at: earlier) == candidate.typed {
      switch candidate.device.kind {
      case .totp: finding.outside = finding.outside ?? (index, range.steps(to: earlier))
      case .hotp: finding.isReused = true
      }
    }
    let (later, isBeyondLast) = range.last.addingReportingOverflow(distance)
    if !isBeyondLast, try candidate.code(at: later) == candidate.typed {
      finding.outside = finding.outside ?? (index, range.steps(to: later))
    }
  }
}
