internal import Enrollment
internal import EnrollmentRequests
internal import FixedMemory
internal import HelperProtocol
internal import SystemFiles
internal import Verification

/// The answer to ``HelperRequest/login``: one transaction decides, because users cannot kill processes of root.
enum LoginAnswer {
  /// Parses a message without its length, and decides. Nil if memory is short.
  static func encoded(_ message: Span<UInt8>, _ session: RowSession) throws(EnrollmentFailure) -> SecretBuffer? {
    let request: LoginRequest
    do throws(HelperStatus) {
      request = try LoginRequest(parsing: message)
    } catch {
      return HelperAnswer.encoded(error)
    }
    return try request.reply.count == 0 ? withoutReply(request, session) : check(request, session)
  }

  /// Checks whether the user is enrolled, and whether a grace period applies.
  private static func withoutReply(
    _ request: borrowing LoginRequest, _ session: RowSession
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    var answer = CheckedCode()
    if let key = request.graceKey, request.gracePeriod > 0 {
      let passes = try GraceCheck.passes(
        key, in: EnrollmentRow(session), period: request.gracePeriod, limits: request.limits)
      if passes { answer.method = .grace }
    } else {
      _ = try session.read()
    }
    if answer.method == nil { answer.refusal = .noReply }
    return answer.encoded
  }

  private static func check(
    _ request: borrowing LoginRequest, _ session: RowSession
  ) throws(EnrollmentFailure) -> SecretBuffer? {
    let hasScratchCodes = request.flags.isEndOfPassword ? try Self.hasScratchCodes(session) : false
    let reply: Reply
    do throws(Reply.Problem) {
      reply =
        try request.flags.isEndOfPassword
        ? Reply(endOf: request.reply.bytes, hasScratchCodes: hasScratchCodes) : Reply(request.reply.bytes)
    } catch {
      guard let refusal = error.refusal else { throw EnrollmentFailure(.io, "reply", "out of memory") }
      // For a user who is not enrolled, the answer is `absent`, whatever the reply.
      _ = try session.read()
      var answer = CheckedCode()
      answer.refusal = refusal
      return answer.encoded
    }
    let check = try CodeCheck(
      reply, in: EnrollmentRow(session), limits: request.limits, graceKey: request.graceKey,
      countsFailure: request.flags.countsFailure)
    return try encoded(check, reply, session.lockedCredential())
  }

  private static func encoded(
    _ check: borrowing CodeCheck, _ reply: borrowing Reply, _ credential: borrowing Credential
  ) -> SecretBuffer? {
    CheckedCode(check, of: reply, credential).encoded
  }

  private static func hasScratchCodes(_ session: RowSession) throws(EnrollmentFailure) -> Bool {
    try EnrollmentRow(session).readCredential().hasScratchCodes
  }
}
