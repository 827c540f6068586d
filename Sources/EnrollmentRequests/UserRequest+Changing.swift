internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Requests that create, replace or remove the credential. All but the first enrollment and
/// ``resync(in:_:)`` need a ticket.
extension UserRequest {
  borrowing func replace<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let ticket = reader.field(of: message.bytes)
    let change: EnrollmentChange
    do throws(HelperStatus) {
      change = try EnrollmentChange(&reader, of: message.bytes)
    } catch {
      return HelperAnswer.encoded(error)
    }
    guard let generation = Generation.new() else { throw .noGeneration }
    do throws(EnrollmentFailure) {
      return try replace(place.open(), in: place, by: change, generation, ticket, policy.limits)
    } catch {
      guard error.reason == .absent else { throw error }
    }
    try place.create(RenewedEnrollment(change, generation: generation))
    log("enrolled")
    place.noteEnrollment()
    return HelperAnswer.encoded(.done)
  }

  private borrowing func replace<Place: EnrollmentPlace & ~Copyable>(
    _ opened: borrowing Place.Opened, in place: borrowing Place, by change: borrowing EnrollmentChange,
    _ generation: Generation, _ ticket: Span<UInt8>, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    let locked = try place.lock(opened, limits)
    guard isAllowed(by: ticket, for: locked.credential) else {
      log("refused to change")
      return HelperAnswer.encoded(.noTicket)
    }
    try write(
      RenewedEnrollment(change, generation: generation, over: locked, now: SystemClock.now), to: opened, over: locked)
    log("changed")
    return HelperAnswer.encoded(.done)
  }

  private borrowing func write<Opened: OpenEnrollment & ~Copyable>(
    _ renewed: borrowing RenewedEnrollment, to opened: borrowing Opened,
    over locked: borrowing LockedEnrollment<Opened.Lock>
  ) throws(EnrollmentFailure) {
    try opened.replace(locked, with: renewed.credential.bytes, state: renewed.state)
  }

  borrowing func remove<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let ticket = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard isOfRoot || !policy.enforcesTwoFactor(now: SystemClock.now) else {
      log("refused to disable")
      return HelperAnswer.encoded(.forbidden)
    }
    return try remove(place.open(), in: place, ticket, policy.limits)
  }

  private borrowing func remove<Place: EnrollmentPlace & ~Copyable>(
    _ opened: borrowing Place.Opened, in place: borrowing Place, _ ticket: Span<UInt8>, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    let locked = try place.lock(opened, limits)
    guard isAllowed(by: ticket, for: locked.credential) else {
      log("refused to disable")
      return HelperAnswer.encoded(.noTicket)
    }
    try place.remove(opened, locked)
    log("disabled")
    return HelperAnswer.encoded(.done)
  }

  /// Whether root asks, or the ticket is valid.
  borrowing func isAllowed(by ticket: Span<UInt8>, for credential: borrowing Credential) -> Bool {
    isOfRoot || ChangeTicket.isValid(ticket, for: credential, now: SystemClock.now)
  }

  /// Needs no ticket: the codes are checked and counted as those of ``check(in:_:)``.
  borrowing func resync<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let name = reader.field(of: message.bytes)
    let first = reader.field(of: message.bytes)
    let second = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard let generation = Generation.new() else { throw .noGeneration }
    let verdict = try DeviceResync(
      ofDeviceNamed: name, first, second, in: place.open(), limits: limits, generation: generation
    ).verdict
    if let refusal = verdict.loggedRefusal { log(refusal) }
    if verdict == .found {
      log("resynchronized")
      place.noteEnrollment()
    }
    return ResyncAnswer.encoded(verdict)
  }
}

extension EnrollmentFailure {
  fileprivate static var noGeneration: EnrollmentFailure {
    EnrollmentFailure(.io, "generation", "no random numbers", error: .current)
  }
}
