internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Requests that do not change the credential.
extension UserRequest {
  borrowing func status<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    guard MessageReader().isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    let opened = try place.open()
    let (limits, now) = (policy.limits, SystemClock.now)
    do throws(EnrollmentFailure) {
      return try report(place.snapshot(of: opened), limits, now)
    } catch {
      guard error.isOfLostState else { throw error }
      return try report(place.lock(opened, limits), limits, now)
    }
  }

  private borrowing func report(
    _ snapshot: borrowing EnrollmentSnapshot, _ limits: VerificationLimits, _ now: Int64
  ) -> SecretBuffer? {
    EnrollmentReport.encoded(snapshot.credential, snapshot.state, limits: limits, now: now)
  }

  private borrowing func report<Lock: EnrollmentLock & ~Copyable>(
    _ locked: borrowing LockedEnrollment<Lock>, _ limits: VerificationLimits, _ now: Int64
  ) -> SecretBuffer? {
    EnrollmentReport.encoded(locked.credential, locked.state.value, limits: limits, now: now)
  }

  borrowing func check<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place, _ policy: borrowing Policy
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let flags = CheckFlags(rawValue: reader.byte(of: message.bytes))
    let text = reader.field(of: message.bytes)
    guard flags.isValid, reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    let isHome = policy.directory.isEqual(to: EnrollmentPath.usualTemplate)
    guard !flags.needsHostStore || policy.isClosedToUsers, !flags.needsHome || isHome else {
      return HelperAnswer.encoded(.unavailable)
    }
    return try check(text, flags, in: place, place.open(), policy.limits)
  }

  private borrowing func check<Place: EnrollmentPlace & ~Copyable>(
    _ text: Span<UInt8>, _ flags: CheckFlags, in place: borrowing Place, _ opened: borrowing Place.Opened,
    _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    // Read the credential before the check: if another request then replaces it, the ticket is invalid.
    try check(text, flags, in: place, opened, opened.readCredential(), limits)
  }

  private borrowing func check<Place: EnrollmentPlace & ~Copyable>(
    _ text: Span<UInt8>, _ flags: CheckFlags, in place: borrowing Place, _ opened: borrowing Place.Opened,
    _ credential: borrowing Credential, _ limits: VerificationLimits
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    let reply: Reply
    do throws(Reply.Problem) {
      reply =
        try flags.isEndOfPassword ? Reply(endOf: text, hasScratchCodes: credential.hasScratchCodes) : Reply(text)
    } catch {
      guard let refusal = error.refusal else { throw EnrollmentFailure(.io, "reply", "out of memory") }
      var answer = CheckedCode()
      answer.refusal = refusal
      return answer.encoded
    }
    return try encoded(
      CodeCheck(countingFirst: reply, keepsCode: flags.keepsCode, in: opened, limits: limits), in: place, reply,
      credential, flags)
  }

  private borrowing func encoded<Place: EnrollmentPlace & ~Copyable>(
    _ check: borrowing CodeCheck, in place: borrowing Place, _ reply: borrowing Reply,
    _ credential: borrowing Credential, _ flags: CheckFlags
  ) -> SecretBuffer? {
    log(check, isKept: flags.keepsCode)
    return answer(to: check, in: place, reply, credential, flags).encoded
  }

  private borrowing func answer<Place: EnrollmentPlace & ~Copyable>(
    to check: borrowing CodeCheck, in place: borrowing Place, _ reply: borrowing Reply,
    _ credential: borrowing Credential, _ flags: CheckFlags
  ) -> CheckedCode {
    var answer = CheckedCode(check, of: reply, credential)
    guard check.verdict.refusal == nil, !flags.keepsCode else { return answer }
    place.noteEnrollment()
    // A login needs no ticket, which would stay in the memory of the calling program.
    guard !flags.needsHostStore, !flags.needsHome else { return answer }
    answer.ticket = ChangeTicket.make(for: credential, now: SystemClock.now) ?? ByteText()
    return answer
  }

  private borrowing func log(_ check: borrowing CodeCheck, isKept: Bool) {
    if let refusal = check.verdict.refusal { log(refusal) } else { log(isKept ? "verified" : "accepted") }
  }

  borrowing func log(_ refusal: Refusal) {
    log("denied") { line in
      line.append(" reason=")
      refusal.consequences.appendLogFields(to: &line)
    }
  }

  /// `show`: the credential with its secrets.
  borrowing func show<Place: EnrollmentPlace & ~Copyable>(
    in place: borrowing Place
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var reader = MessageReader()
    let ticket = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return HelperAnswer.encoded(.malformed) }
    return try show(place.open().readCredential(), ticket)
  }

  private borrowing func show(_ credential: borrowing Credential, _ ticket: Span<UInt8>) -> SecretBuffer? {
    guard isAllowed(by: ticket, for: credential) else {
      log("refused to show")
      return HelperAnswer.encoded(.noTicket)
    }
    let text = credential.fileText
    guard var writer = MessageWriter(HelperStatus.done.rawValue, capacity: text.count) else { return nil }
    writer.add(rest: text)
    log("showed")
    return writer.finish()
  }
}
