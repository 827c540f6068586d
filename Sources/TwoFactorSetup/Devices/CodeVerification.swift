import Enrollment
import FixedMemory
import HostAccess
import OneTimePassword
import SystemFiles
import Verification

/// What a login would make of a code.
struct CodeVerification {
  /// `totp`, `hotp` or `backup-code` where it is right; nil otherwise.
  var method: String?
  /// Which device has it.
  var device: String?
  /// Why it is refused, as the log has it; nil where it is right.
  var reason: String?
  /// How many steps or counters it is from now, negative for an earlier one; nil where that is not known.
  var offset: Int64?
  /// Why it is refused, in words; nil where it is right.
  var refusal: CodeRefusal?

  /// The object of `--json`.
  var json: JSONValue {
    .object([
      ("valid", .bool(refusal == nil)), ("method", .optional(method)), ("reason", .optional(reason)),
      ("offset_steps", offset.map(JSONValue.number) ?? .null),
    ])
  }

  /// The answer to a person, where the code is right.
  var text: String {
    guard let device else { return "The backup code is right. It was not used up." }
    let distance =
      switch offset ?? 0 {
      case 0: ""
      case let steps where steps < 0: " It is late by \(-steps), which is allowed; look at the clocks."
      case let steps: " It is early by \(steps), which is allowed."
      }
    return "The code is right: \(device.printable).\(distance) It was not used up."
  }

  /// What cannot be a code.
  init(_ problem: Reply.Problem) {
    refusal = CodeRefusal(problem)
    reason = (problem.refusal ?? .malformedReply).consequences.reason.description
  }

  /// What was decided.
  init(
    _ verdict: Verdict, credential: borrowing Credential, before: LoginState, after: LoginState, now: Int64
  ) {
    switch verdict {
    case .acceptedCode(let index):
      guard let accepted = credential.device(at: index) else { return }
      method = accepted.kind.name
      device = String(decoding: credential.name(ofDeviceAt: index))
      let used = after[device: index].nextFactor &- 1
      switch accepted.kind {
      case .totp(let period):
        offset = TimeStep(at: now, period: period).map { Int64(truncatingIfNeeded: used &- $0.rawValue) }
      case .hotp(let counter):
        offset = Int64(truncatingIfNeeded: used &- max(counter, before[device: index].nextFactor))
      }
    case .acceptedBackupCode: method = "backup-code"
    case .refused(let refused):
      refusal = CodeRefusal(refused, period: credential.commonPeriod)
      reason = refused.consequences.reason.description
      if case .outsideWindow(let steps) = refused { offset = steps }
    }
  }
}

extension EnrollmentStore {
  /// Says what a login would make of a code, and changes nothing.
  func examine(_ line: borrowing SecretBuffer) throws -> CodeVerification {
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(line.bytes)
    } catch {
      return CodeVerification(error)
    }
    return try examine(reply)
  }

  private func examine(_ reply: borrowing Reply) throws -> CodeVerification {
    // Hashed with no lock held, as at a login: it takes a while.
    let setting = try read { credential, _ in String(decoding: credential.backupCodeSetting()) }
    guard var hash = SecretBuffer(capacity: BackupCodeHash.lengths.upperBound + 1) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    if reply.backupCode.bytes.count > 0, !setting.isEmpty {
      guard BackupCodeHash.make(reply.backupCode.bytes, setting: setting.utf8.span, into: &hash) else {
        throw SetupError(.configuration, "this system cannot hash with yescrypt")
      }
    }
    let now = SystemClock.now
    return try decide(reply, hash: hash, now: now)
  }

  private func decide(
    _ reply: borrowing Reply, hash: borrowing SecretBuffer, now: Int64
  ) throws -> CodeVerification {
    try read { credential, state in
      var after = state
      let verdict = try verify(
        reply, hash: hash.bytes, credential: credential, state: &after, limits: settings.limits, now: now)
      return CodeVerification(verdict, credential: credential, before: state, after: after, now: now)
    }
  }
}

extension Credential {
  /// The period that all devices have, in seconds; nil where they differ or count.
  var commonPeriod: Int64? {
    let first = device(at: 0)?.kind.period
    return (0..<deviceCount).allSatisfy { device(at: $0)?.kind.period == first } ? first : nil
  }
}
