public import Enrollment
internal import FixedMemory
internal import OneTimePassword
internal import SystemFiles

/// The result of ``DeviceResync``.
public enum ResyncVerdict: Equatable, Sendable {
  /// The device is in step again. Both codes are used up.
  case found

  /// A refusal of codes: throttled, locked, wrong, or malformed.
  case refused(Refusal)

  case noDevice

  /// The same code twice.
  case sameCode

  /// The second code comes before the first one. Counts as a failure.
  case wrongOrder(failures: UInt32)

  /// The codes are consecutive, but one of them counts as used. The device shows the first unused one at the Unix time
  /// `until`; 0 for HOTP, or if that is not known.
  case used(until: Int64)

  /// The counter was lost with the state (``LoginState/highestCounter``), so it is unknown which codes were used.
  case counterLost

  /// The refusal to log; nil if the verdict is not logged as a refusal.
  public var loggedRefusal: Refusal? {
    switch self {
    case .refused(let refusal): refusal
    case .sameCode: .malformedReply
    case .wrongOrder(let failures): .wrongCode(failures: failures)
    case .used: .reusedCode
    case .found, .noDevice, .counterLost: nil
    }
  }
}

/// How far to search for two consecutive codes (RFC 4226 section 7.4, RFC 6238 section 6).
public enum ResyncReach {
  /// How many counters the first code may be ahead of the expected one.
  public static var counters: UInt64 { 1000 }

  /// How many time steps one of the codes may be before or after the host's clock.
  public static var timeSteps: UInt64 { 20 }

  /// How many used counters are recognized.
  static var usedCounters: UInt64 { 20 }
}

/// Finds two consecutive codes of the device at `index`, and marks both as used. Reads no clock and no file.
///
/// `first` is the code that the device showed first; `second` differs from it. Updates `state`, which must be saved
/// before the verdict is disclosed, and `clockOffset`, in time steps. `now` is Unix time. Throws a failure if memory is
/// short or libcrypto fails.
func resynchronize(
  deviceAt index: Int, _ first: UInt32, _ second: UInt32, credential: borrowing Credential, state: inout LoginState,
  clockOffset: inout Int64, limits: VerificationLimits, now: Int64
) throws(EnrollmentFailure) -> ResyncVerdict {
  guard let device = credential.device(at: index) else { return .noDevice }
  guard let secret = SharedSecret(credential.secret(ofDeviceAt: index), algorithm: device.algorithm) else {
    throw .noCode
  }
  var isReversed = false
  var found: UInt64?
  var used: UInt64?
  if let range = ResyncRange(of: device, state[device: index], now: now) {
    // Searches the whole range, so that the time does not reveal where a code was found.
    var factor = range.first
    var before = try secret.requiredCode(at: factor, device)
    while factor < range.last {
      let code = try secret.requiredCode(at: factor &+ 1, device)
      if before == first, code == second {
        if factor >= range.next { found = found ?? factor } else { used = factor }
      }
      if before == second, code == first { isReversed = true }
      factor &+= 1
      before = code
    }
  }
  if let found {
    let last = found &+ 1
    if let step = device.hostStep(at: now) { clockOffset = Int64(truncatingIfNeeded: last &- step) }
    state[device: index] = LoginState.DeviceState(nextFactor: last &+ 1, lastUsedAt: now)
    state.lastUsedAt = now
    state.forgetFailures()
    return .found
  }
  if let used { return .used(until: device.time(ofUnused: state[device: index].nextFactor, used &+ 1, now: now)) }
  Throttle.countFailure(in: &state, now: now, allowed: limits.maximumFailures)
  return isReversed ? .wrongOrder(failures: state.failures) : .refused(.wrongCode(failures: state.failures))
}

/// The factors to search. The first code is at most at `last` − 1.
struct ResyncRange {
  let first: UInt64
  let last: UInt64

  /// The lowest unused factor.
  let next: UInt64

  /// Nil before the epoch, or if the counter was lost.
  init?(of device: Device, _ state: LoginState.DeviceState, now: Int64) {
    switch device.kind {
    case .totp:
      guard let step = device.hostStep(at: now) else { return nil }
      let reach = ResyncReach.timeSteps &+ 1
      first = step < reach ? 0 : step &- reach
      // No overflow: a time step is at most 2⁶³ / 15.
      last = step &+ reach
      next = state.nextFactor
    case .hotp(let counter):
      next = Swift.max(state.nextFactor, counter)
      guard next <= LoginState.highestCounter else { return nil }
      first = next &- Swift.min(next &- counter, ResyncReach.usedCounters)
      let (late, overflow) = next.addingReportingOverflow(ResyncReach.counters &+ 1)
      last = overflow ? LoginState.highestCounter : Swift.min(late, LoginState.highestCounter)
    }
  }
}

extension Device {
  /// The time step of the host's clock. Nil for HOTP, and before the epoch.
  fileprivate func hostStep(at now: Int64) -> UInt64? {
    guard case .totp(let period) = kind else { return nil }
    return TimeStep(at: now, period: period)?.rawValue
  }

  /// Unix time at which the device shows `unused` if it shows `current` now.
  fileprivate func time(ofUnused unused: UInt64, _ current: UInt64, now: Int64) -> Int64 {
    guard case .totp(let period) = kind, let step = hostStep(at: now) else { return 0 }
    let (time, overflow) = (unused &- current &+ step).multipliedReportingOverflow(by: UInt64(bitPattern: period))
    return overflow ? 0 : Int64(exactly: time) ?? 0
  }
}

extension SharedSecret {
  fileprivate func requiredCode(at factor: UInt64, _ device: Device) throws(EnrollmentFailure) -> UInt32 {
    guard let code = code(at: factor, digits: device.digits) else { throw .noCode }
    return code
  }
}

extension EnrollmentFailure {
  fileprivate static var noCode: EnrollmentFailure {
    EnrollmentFailure(.io, "credential", "no code can be computed: out of memory, or refused by libcrypto")
  }
}

/// Resynchronizes a device: finds two consecutive codes far outside the window, and stores the counter or the
/// clock offset of that device.
///
/// Counts as one check of a code. A failure is written before the verdict is known, as in
/// ``CodeCheck/init(countingFirst:keepsCode:in:limits:)``.
public struct DeviceResync: ~Copyable, Sendable {
  /// The verdict.
  public let verdict: ResyncVerdict

  /// Reads, decides and flushes under one lock. The codes are as typed. A changed clock offset needs a new credential
  /// with this `generation`.
  public init<Place: OpenEnrollment & ~Copyable>(
    ofDeviceNamed name: Span<UInt8>, _ first: Span<UInt8>, _ second: Span<UInt8>, in place: borrowing Place,
    limits: VerificationLimits, generation: Generation
  ) throws(EnrollmentFailure) {
    var enrollment = try place.locked(limits)
    let now = SystemClock.now
    guard let index = enrollment.credential.index(ofDeviceNamed: name),
      let device = enrollment.credential.device(at: index)
    else {
      verdict = .noDevice
      return
    }
    guard let first = try Self.code(first, device.digits), let second = try Self.code(second, device.digits) else {
      verdict = .refused(.malformedReply)
      return
    }
    guard first != second else {
      verdict = .sameCode
      return
    }
    if case .hotp = device.kind, enrollment.state.value[device: index].nextFactor > LoginState.highestCounter {
      verdict = .counterLost
      return
    }
    let standing = Throttle.Standing(enrollment.state.value)
    Throttle.trim(&enrollment.state.value, now: now, allowed: limits.maximumFailures)
    let secondsLeft = Throttle.secondsLeft(enrollment.state.value, now: now)
    let isLocked = Throttle.isLocked(enrollment.state.value)
    if isLocked || secondsLeft > 0 {
      if standing != Throttle.Standing(enrollment.state.value) { try enrollment.save() }
      verdict = .refused(isLocked ? .locked : .throttled(seconds: secondsLeft))
      return
    }

    let before = enrollment.state.value
    Throttle.countFailure(in: &enrollment.state.value, now: now, allowed: limits.maximumFailures)
    try enrollment.save()
    enrollment.state.value = before
    var after = before
    var clockOffset = device.clockOffset
    let verdict = try resynchronize(
      deviceAt: index, first, second, credential: enrollment.credential, state: &after, clockOffset: &clockOffset,
      limits: limits, now: now)
    if clockOffset == device.clockOffset {
      try enrollment.saveAgain(after)
    } else {
      try Self.write(
        RenewedEnrollment(
          clockOffset: clockOffset, ofDeviceAt: index, generation: generation, over: enrollment, state: after),
        over: enrollment, to: place)
    }
    self.verdict = verdict
  }

  private static func write<Place: OpenEnrollment & ~Copyable>(
    _ renewed: borrowing RenewedEnrollment, over enrollment: borrowing LockedEnrollment<Place.Lock>,
    to place: borrowing Place
  ) throws(EnrollmentFailure) {
    try place.replace(enrollment, with: renewed.credential.bytes, state: renewed.state)
  }

  /// Nil if the text is no code of this length.
  private static func code(_ text: Span<UInt8>, _ digits: CodeDigits) throws(EnrollmentFailure) -> UInt32? {
    do throws(Reply.Problem) {
      return try Reply(text).code(digits)
    } catch {
      guard error.refusal == nil else { return nil }
      throw EnrollmentFailure(.io, "reply", "out of memory")
    }
  }
}

extension Credential {
  /// Nil if no device has the name.
  fileprivate borrowing func index(ofDeviceNamed wanted: Span<UInt8>) -> Int? {
    var index = 0
    while index < deviceCount {
      if name(ofDeviceAt: index).isEqual(to: wanted) { return index }
      index &+= 1
    }
    return nil
  }
}
