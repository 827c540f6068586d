import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import Verification

/// Verifies a code of devices before their enrollment, as a login would.
struct EnrollmentTrial: ~Copyable {
  private let credential: Credential
  private let limits: VerificationLimits
  private let period: Int64?
  /// The lengths of the devices' codes.
  private let lengths: String
  /// The first counter-based device.
  private let counterDevice: String?
  private let hint: (CodeFit) -> String
  private let resync: ((_ name: String) -> String)?
  private var unused: LoginState

  enum Result {
    /// The index of the device, and its state, in which the code counts as used.
    case right(device: Int, LoginState.DeviceState)
    case wrong(CodeRefusal)
  }

  /// `hint` is the hint for a code that fits other settings. `resync` is the command that resynchronizes the device with
  /// this name once it is enrolled; nil if it cannot be enrolled without a code.
  init(
    _ devices: [DeviceDraft], limits: VerificationLimits, hint: @escaping (CodeFit) -> String = { $0.hint() },
    resync: ((_ name: String) -> String)? = nil
  ) throws {
    self.limits = limits
    self.hint = hint
    self.resync = resync
    lengths = Set(devices.map(\.digits.rawValue)).sorted().map(String.init).joined(separator: " or ")
    counterDevice = devices.first { $0.kind.period == nil }?.name
    let text = try CredentialDraft(devices: devices).encoded()
    do throws(EnrollmentFailure) {
      credential = try Credential(parsing: text)
    } catch {
      throw CredentialDraft.failure
    }
    period = credential.onlyPeriod
    unused = LoginState(generation: credential.generation)
    for (index, device) in devices.enumerated() {
      unused[device: index] = LoginState.DeviceState(nextFactor: device.nextStep)
    }
  }

  /// `now` is Unix time.
  func check(_ line: borrowing SecretBuffer, now: Int64) throws -> Result {
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(line.bytes)
    } catch {
      return .wrong(refusal(error))
    }
    let none: [UInt8] = []
    var state = unused
    let verdict: Verdict
    do throws(EnrollmentFailure) {
      verdict = try verify(reply, hash: none.span, credential: credential, state: &state, limits: limits, now: now)
    } catch {
      throw CredentialDraft.failure
    }
    switch verdict {
    case .acceptedCode(let index):
      // A trial does not count as a login.
      return .right(device: index, LoginState.DeviceState(nextFactor: state[device: index].nextFactor))
    case .acceptedBackupCode: throw CredentialDraft.failure
    case .refused(let refused):
      let refusal = refusal(refused)
      if case .wrongCode = refused, let fit = CodeFit.search(for: reply, credential, unused, now: now) {
        return .wrong(refusal.withHint(hint(fit)))
      }
      // A clock that is far off makes every code wrong.
      guard case .wrongCode = refused, period != nil else { return .wrong(refusal) }
      let clock = Timestamp(seconds: now).clock
      return .wrong(refusal.withHint("this host's clock says \(clock); the phone's clock must agree"))
    }
  }

  /// Does not mention backup codes, which are no answer here.
  private func refusal(_ problem: Reply.Problem) -> CodeRefusal {
    let refusal = CodeRefusal(problem)
    guard case .malformedReply = problem.refusal else { return refusal }
    return refusal.withHint("a code of the device has \(lengths) digits")
  }

  private func refusal(_ refused: Refusal) -> CodeRefusal {
    if case .wrongCode = refused, period == nil, let command = counterDevice.flatMap({ resync?($0) }) {
      return CodeRefusal(refused, period: nil, resync: "use --no-confirm, and then: \(command)")
    }
    guard case .outsideWindow(let steps, let index) = refused,
      let device = DeviceStatus(of: credential, at: index, state: unused)
    else { return CodeRefusal(refused, period: period) }
    let command = device.isInReach(ofResync: steps) ? resync?(device.name) : nil
    return CodeRefusal(
      refused, period: device.kind.period, resync: command.map { "use --no-confirm, and then: \($0)" })
  }
}
