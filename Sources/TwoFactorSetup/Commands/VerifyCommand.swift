import ArgumentParser
import Enrollment
import FixedMemory
import HelperProtocol
import HostAccess
import KeyFormats
import OneTimePassword
import SystemFiles
import Verification

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check a code without using it up.",
    discussion: """
      Asks for a code and says whether a login would accept it now, and if not, why: how late or early it is, \
      whether it was already used, whether codes are throttled. The code is not used up, and a wrong one \
      counts only in a store that is closed to users (store = host or postgresql). The exit status is 1 if a login would refuse the code.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "verify")
    try session.requireEnrollment()
    let line = try session.terminal.ask("Code: ")
    let result = try session.store.examine(line)
    if session.wantsJSON {
      try session.report(result.json)
      if result.refusal != nil { throw ExitCode(ExitStatus.refused.rawValue) }
      return
    }
    if let refusal = result.refusal {
      throw (result.fits.map { refusal.withHint($0.hint(ofEnrolled: session.userOption)) } ?? refusal).error
    }
    try session.show(result.text + "\n")
  }
}

/// A login's verdict on a code.
struct CodeVerification {
  /// `totp`, `hotp` or `backup-code`; nil if refused.
  var method: String?
  /// Nil if no device has this code.
  var device: String?
  /// As in the log; nil if accepted.
  var reason: String?
  /// From the expected time step or counter; negative for a late code, nil if unknown.
  var offset: Int64?
  var refusal: CodeRefusal?
  /// The settings with which a wrong code would be right; nil if there are none, or if the helper checked the code.
  var fits: CodeFit?

  var json: JSONValue {
    var members: [(String, JSONValue)] = [
      ("valid", .bool(refusal == nil)), ("method", .optional(method)), ("reason", .optional(reason)),
      ("offset_steps", offset.map(JSONValue.number) ?? .null),
    ]
    if let fits { members.append(("fits", fits.json)) }
    return .object(members)
  }

  /// For an accepted code.
  var text: String {
    guard let device else { return "The backup code is right. It was not used up." }
    let distance =
      switch offset ?? 0 {
      case 0: ""
      case let steps where method == "hotp":
        " It is \(steps) \(steps == 1 ? "counter" : "counters") ahead, which is allowed."
      case let steps:
        " It is \(steps.magnitude) time \(steps.magnitude == 1 ? "step" : "steps") \(steps < 0 ? "late" : "early"), "
          + "which is allowed; check the clocks."
      }
    return "The code is right: \(device.printable).\(distance) It was not used up."
  }

  init(_ problem: Reply.Problem) {
    refusal = CodeRefusal(problem)
    reason = (problem.refusal ?? .malformedReply).consequences.reason.description
  }

  init(_ refused: Refusal, _ refusal: CodeRefusal) {
    self.refusal = refusal
    reason = refused.consequences.reason.description
    if case .outsideWindow(let steps, _) = refused { offset = steps }
  }

  /// Of an accepted code.
  init(_ checked: borrowing CheckedCode) {
    switch checked.method {
    case .totp: method = "totp"
    case .hotp: method = "hotp"
    case .backupCode, .grace, nil:
      method = "backup-code"
      return
    }
    device = String(decoding: checked.deviceName.bytes)
    offset = checked.offset
  }

  /// Of an accepted code.
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
      case .totp: offset = accepted.timeStep(at: now).map { Int64(truncatingIfNeeded: used &- $0) }
      case .hotp(let counter):
        offset = Int64(truncatingIfNeeded: used &- max(counter, before[device: index].nextFactor))
      }
    case .acceptedBackupCode: method = "backup-code"
    case .refused: break
    }
  }
}

extension EnrollmentStore {
  /// Verifies a reply as a login would, but changes nothing.
  func examine(_ line: borrowing SecretBuffer) throws -> CodeVerification {
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(line.bytes)
    } catch {
      return CodeVerification(error)
    }
    if let helper {
      let checked = try helper.check(line.bytes, .keep)
      guard let refused = checked.refusal else { return CodeVerification(checked) }
      return CodeVerification(refused, refusal(refused, checked))
    }
    // Hash before reading the state, as a login does, because yescrypt is slow.
    let setting = try read { credential, _ in String(decoding: credential.backupCodeSetting()) }
    guard var hash = SecretBuffer(capacity: BackupCodeHash.lengths.upperBound + 1) else {
      throw SetupError.outOfMemory
    }
    if reply.backupCode.bytes.count > 0, !setting.isEmpty {
      guard BackupCodeHash.make(reply.backupCode.bytes, setting: setting.utf8.span, into: &hash) else {
        throw BackupCodes.cannotHash
      }
    }
    return try verdict(on: reply, hash: hash, now: SystemClock.now)
  }

  private func verdict(
    on reply: borrowing Reply, hash: borrowing SecretBuffer, now: Int64
  ) throws -> CodeVerification {
    try read { credential, state in
      var after = state
      let verdict = try verify(
        reply, hash: hash.bytes, credential: credential, state: &after, limits: settings.limits, now: now)
      if let refused = verdict.refusal {
        var result = CodeVerification(refused, refusal(refused, by: credential, state))
        if case .wrongCode = refused { result.fits = CodeFit.search(for: reply, credential, state, now: now) }
        return result
      }
      return CodeVerification(verdict, credential: credential, before: state, after: after, now: now)
    }
  }
}

extension Credential {
  /// The common period in seconds; nil if periods differ, or for HOTP.
  var onlyPeriod: Int64? { commonPeriod > 0 ? commonPeriod : nil }
}
