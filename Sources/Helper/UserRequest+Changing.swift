import CSystem
import Enrollment
import FixedMemory
import HelperProtocol
import LoginPolicy
import SystemFiles
import Verification

/// Requests that create, replace or remove the credential. All but the first enrollment and ``resync(_:_:)`` need a
/// ticket.
extension UserRequest {
  borrowing func replace(
    _ enrollment: borrowing UserEnrollment, _ policy: borrowing Policy
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
      return try replace(enrollment.open(), by: change, generation, ticket, policy.limits)
    } catch {
      guard error.reason == .absent else { throw error }
    }
    return try create(enrollment, RenewedEnrollment(change, generation: generation))
  }

  private borrowing func replace(
    _ directory: borrowing EnrollmentDirectory, by change: borrowing EnrollmentChange, _ generation: Generation,
    _ ticket: Span<UInt8>, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    let locked = try UserEnrollment.lock(directory, limits)
    let now = SystemClock.now
    guard ChangeTicket.isValid(ticket, for: locked.credential, now: now) else {
      log("refused to change")
      return HelperAnswer.encoded(.noTicket)
    }
    try write(RenewedEnrollment(change, generation: generation, over: locked, now: now), to: directory, over: locked)
    log("changed")
    return HelperAnswer.encoded(.done)
  }

  private borrowing func write(
    _ renewed: borrowing RenewedEnrollment, to directory: borrowing EnrollmentDirectory,
    over locked: borrowing LockedEnrollment
  ) throws(EnrollmentFailure) {
    try directory.replace(locked, with: renewed.credential.bytes, state: renewed.state)
  }

  private borrowing func create(
    _ enrollment: borrowing UserEnrollment, _ renewed: borrowing RenewedEnrollment
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var identity = FileSystemIdentity()
    try EnrollmentDirectory.create(
      enrollment.path, of: enrollment.account, credential: renewed.credential.bytes, state: renewed.state,
      tag: UInt64(csystem_random()), identity: &identity)
    log("enrolled")
    // A failure is not an error: the first accepted login adds the user, too.
    do throws(EnrollmentFailure) { try EnrollmentRegister.add(user) } catch {}
    return HelperAnswer.encoded(.done)
  }

  borrowing func remove(
    _ enrollment: borrowing UserEnrollment, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let ticket = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard !policy.enforcesTwoFactor(now: SystemClock.now) else {
      log("refused to disable")
      return HelperAnswer.encoded(.forbidden)
    }
    let directory = try enrollment.open()
    let locked = try UserEnrollment.lock(directory, policy.limits)
    guard ChangeTicket.isValid(ticket, for: locked.credential, now: SystemClock.now) else {
      log("refused to disable")
      return HelperAnswer.encoded(.noTicket)
    }
    // Remove the register entry first: if the process is then killed, the user stays enrolled, and the next accepted
    // login adds the entry again.
    try EnrollmentRegister.remove(user)
    var identity = FileSystemIdentity()
    do throws(EnrollmentFailure) {
      try directory.remove(
        enrollment.path, of: enrollment.account, tag: UInt64(csystem_random()), identity: &identity)
    } catch {
      do throws(EnrollmentFailure) { try EnrollmentRegister.add(user) } catch {}
      throw error
    }
    extendLifetime(locked)
    log("disabled")
    // A login that was accepted in between has added the entry again.
    do throws(EnrollmentFailure) { try EnrollmentRegister.remove(user) } catch {}
    return HelperAnswer.encoded(.done)
  }

  /// Needs no ticket: the codes are checked and counted as those of ``check(_:_:)``.
  borrowing func resync(
    _ enrollment: borrowing UserEnrollment, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let name = reader.field(of: message.bytes)
    let first = reader.field(of: message.bytes)
    let second = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    guard let generation = Generation.new() else { throw .noGeneration }
    let verdict = try DeviceResync(
      ofDeviceNamed: name, first, second, in: enrollment.open(), limits: limits, generation: generation
    ).verdict
    if let refusal = verdict.loggedRefusal { log(refusal) }
    if verdict == .found {
      log("resynchronized")
      // As after an accepted code.
      do throws(EnrollmentFailure) { try EnrollmentRegister.add(user) } catch {}
    }
    return ResyncAnswer.encoded(verdict)
  }
}

extension EnrollmentFailure {
  fileprivate static var noGeneration: EnrollmentFailure {
    EnrollmentFailure(.io, "generation", "no random numbers", error: .current)
  }
}
