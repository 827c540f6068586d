import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import Verification

/// Verifies a code of a device before its enrollment, as a login would.
struct EnrollmentTrial: ~Copyable {
  private let credential: Credential
  private let limits: VerificationLimits
  private let period: Int64?

  enum Result {
    /// The state of the device, in which the code counts as used.
    case right(LoginState.DeviceState)
    case wrong(CodeRefusal)
  }

  init(_ device: DeviceDraft, limits: VerificationLimits) throws {
    self.limits = limits
    period = device.kind.period
    let text = try CredentialDraft(devices: [device]).encoded()
    do throws(EnrollmentFailure) {
      credential = try Credential(parsing: text)
    } catch {
      throw CredentialDraft.failure
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
    var state = LoginState(generation: credential.generation)
    do throws(EnrollmentFailure) {
      let verdict = try verify(
        reply, hash: none.span, credential: credential, state: &state, limits: limits, now: now)
      if let refused = verdict.refusal {
        let refusal = CodeRefusal(refused, period: period)
        // A clock that is far off makes every code wrong.
        guard case .wrongCode = refused, period != nil else { return .wrong(refusal) }
        let clock = Timestamp(seconds: now).clock
        return .wrong(refusal.withHint("this host's clock says \(clock); the phone's clock must agree"))
      }
      // A trial does not count as a login.
      return .right(LoginState.DeviceState(nextFactor: state[device: 0].nextFactor))
    } catch {
      throw CredentialDraft.failure
    }
  }
}
