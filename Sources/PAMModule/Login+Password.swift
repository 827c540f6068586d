internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import OneTimePassword
internal import SystemFiles
internal import Verification

/// The code at the end of a password, for clients with a single field.
extension Login {
  /// What becomes of the password that an earlier module asked for.
  mutating func outcomeOfEarlierPassword(_ account: borrowing Account, _ policy: borrowing Policy) -> Outcome {
    guard let password = transaction.password(limit: PAMTransaction.maximumAnswer) else {
      return !account.isKnown ? .denied(.unknownUser) : .denied(.refused(.noReply))
    }
    return outcomeOfPassword(password, account, policy, isTrial: policy.password.isTriedFirst)
  }

  /// What becomes of a password with a code at its end. With `forward_pass`, what stands before the code is handed
  /// on whatever the verdict, so that the next module's answer says nothing about ours.
  ///
  /// - Parameters:
  ///   - text: The password and the code.
  ///   - account: Whose they are; nil for nobody's.
  ///   - policy: What the administrator wants.
  ///   - isTrial: Whether the user is asked where there is no right code in it.
  /// - Returns: What became of them.
  mutating func outcomeOfPassword(
    _ text: borrowing SecretBuffer, _ account: borrowing Account, _ policy: borrowing Policy, isTrial: Bool = false
  ) -> Outcome {
    var codeLength = 0
    let outcome = check(text, codeLength: &codeLength, account, policy, isTrial: isTrial)
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- codeLength)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }

  private mutating func check(
    _ text: borrowing SecretBuffer, codeLength: inout Int, _ account: borrowing Account, _ policy: borrowing Policy,
    isTrial: Bool
  ) -> Outcome {
    guard account.isKnown else {
      codeLength = spendTime(on: text, policy)
      return .denied(.unknownUser)
    }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory, account: account)
      let directory = try EnrollmentDirectory(path, of: account, identity: &identity)
      return try check(text, in: directory, codeLength: &codeLength, policy, isTrial: isTrial)
    } catch {
      if error.reason == .absent { codeLength = spendTime(on: text, policy) }
      return Outcome(error)
    }
  }

  /// Every reading of the end of the text is decided at once, under one lock: a wrong one counts once.
  private mutating func check(
    _ text: borrowing SecretBuffer, in directory: borrowing EnrollmentDirectory, codeLength: inout Int,
    _ policy: borrowing Policy, isTrial: Bool
  ) throws(EnrollmentFailure) -> Outcome {
    let hasScratchCodes = try hasScratchCodes(directory)
    do throws(Reply.Problem) {
      let reply = try Reply(endOf: text.bytes, hasScratchCodes: hasScratchCodes)
      codeLength = reply.usualLength
      return outcome(of: reply, in: directory, codeLength: &codeLength, policy, isTrial: isTrial)
    } catch {
      return Outcome(error)
    }
  }

  private mutating func outcome(
    of reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, codeLength: inout Int,
    _ policy: borrowing Policy,
    isTrial: Bool
  ) -> Outcome {
    do throws(EnrollmentFailure) {
      // Many a password ends in ten letters that could be a backup code. Nobody guesses one of those; where the user
      // is asked all the same, it is not counted against the owner of such a password.
      let check = try CodeCheck(
        reply, in: directory, limits: policy.limits, graceKey: transaction.graceKey(policy),
        countsFailure: !isTrial || reply.code(.six) != nil)
      switch check.verdict {
      case .acceptedCode: codeLength = check.digits
      case .acceptedBackupCode: codeLength = reply.backupCodeTyped
      default: break
      }
      return self.outcome(of: check)
    } catch {
      return Outcome(error)
    }
  }

  private func hasScratchCodes(_ directory: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> Bool {
    let credential = try directory.readCredential()
    return credential.hasScratchCodes
  }

  /// The time that a code of somebody who is enrolled would take.
  ///
  /// - Returns: The length of the code, as far as it can be told.
  private func spendTime(on text: borrowing SecretBuffer, _ policy: borrowing Policy) -> Int {
    do throws(Reply.Problem) {
      let reply = try Reply(endOf: text.bytes, hasScratchCodes: false)
      Decoy.check(reply, limits: policy.limits, now: SystemClock.now)
      return reply.usualLength
    } catch {
      // What is no code takes no time.
      return 0
    }
  }
}
