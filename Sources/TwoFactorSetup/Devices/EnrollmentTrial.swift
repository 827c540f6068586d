import Enrollment
import FixedMemory
import HostAccess
import Verification

/// A code from the app checked against an enrolment that is not on the disk yet, by the same decision as a
/// login's.
struct EnrollmentTrial: ~Copyable {
  private let credential: Credential
  private let limits: VerificationLimits
  private let period: Int64?

  /// What came of a try.
  enum Result {
    /// The code is right; it is used up in this state.
    case right(LoginState)
    case wrong(CodeRefusal)
  }

  /// Prepares for codes of a credential that is yet to be written.
  init(_ draft: CredentialDraft, generation: Generation, limits: VerificationLimits) throws {
    self.limits = limits
    period = draft.devices.first?.parameters.kind.period
    let text = try draft.encoded(generation: generation)
    do throws(EnrollmentFailure) {
      credential = try Credential(parsing: text)
    } catch {
      throw CredentialDraft.failure
    }
  }

  /// Checks what was typed.
  ///
  /// - Parameters:
  ///   - line: The line as it was typed.
  ///   - now: Seconds since the epoch.
  /// - Returns: Whether it is right.
  /// - Throws: ``SetupError`` where there is no memory.
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
        // A clock that is far off shows as a wrong code, and the user cannot know this host's.
        guard case .wrongCode = refused, period != nil else { return .wrong(refusal) }
        let clock = Timestamp(seconds: now).clock
        return .wrong(refusal.advising("this host's clock says \(clock), and the phone's must say the same"))
      }
      // Nobody logged in with it yet.
      state.lastUsedAt = 0
      for index in 0..<credential.deviceCount { state[device: index].lastUsedAt = 0 }
      return .right(state)
    } catch {
      throw CredentialDraft.failure
    }
  }
}
