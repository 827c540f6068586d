internal import Enrollment
internal import FixedMemory

/// The work of a check for somebody who is not enrolled, or does not exist: their answer takes the way and the
/// time of a wrong code.
public enum Decoy {
  /// Checks a reply against an enrolment that nobody has.
  ///
  /// - Parameters:
  ///   - reply: What was typed.
  ///   - limits: What the administrator allows.
  ///   - now: Seconds since the epoch.
  public static func check(_ reply: borrowing Reply, limits: VerificationLimits, now: Int64) {
    do throws(EnrollmentFailure) {
      if limits.acceptsBackupCodes, reply.backupCode.bytes.count > 0, !reply.isScratchCode {
        _ = try BackupCodeAttempt.decoy(reply)
      }
      guard var text = SecretBuffer(capacity: 256), text.append(credentialOfNobody) else { return }
      let credential = try Credential(parsing: text)
      var state = LoginState(generation: credential.generation)
      _ = try verify(
        reply, hash: Literal("").bytes, credential: credential, state: &state, limits: limits, now: now)
    } catch {
      // The answer is no in any case.
    }
  }

  private static var credentialOfNobody: Literal {
    """
    twofactor-credential 1
    generation 00000000000000000000000000000000
    enabled 0
    device type=totp algorithm=sha1 digits=6 period=30 enabled=0 secret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA name=nobody
    end

    """
  }
}
