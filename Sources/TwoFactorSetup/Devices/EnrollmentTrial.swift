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
  private let hint: (CodeFit) -> String
  private var unused: LoginState

  enum Result {
    /// The index of the device, and its state, in which the code counts as used.
    case right(device: Int, LoginState.DeviceState)
    case wrong(CodeRefusal)
  }

  /// `hint` says what to do if a code fits other settings.
  init(
    _ devices: [DeviceDraft], limits: VerificationLimits, hint: @escaping (CodeFit) -> String = { $0.hint() }
  ) throws {
    self.limits = limits
    self.hint = hint
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
      return .wrong(CodeRefusal(error))
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
      let refusal = CodeRefusal(refused, period: period)
      if case .wrongCode = refused, let fit = CodeFit.search(for: reply, credential, unused, now: now) {
        return .wrong(refusal.withHint(hint(fit)))
      }
      // A clock that is far off makes every code wrong.
      guard case .wrongCode = refused, period != nil else { return .wrong(refusal) }
      let clock = Timestamp(seconds: now).clock
      return .wrong(refusal.withHint("this host's clock says \(clock); the phone's clock must agree"))
    }
  }
}
