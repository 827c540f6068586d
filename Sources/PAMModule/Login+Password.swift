internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import Verification

/// The code at the end of a password, for clients with a single field.
extension Login {
  /// What becomes of the password that an earlier module asked for.
  func outcomeOfEarlierPassword(_ account: Account?, _ policy: Policy) -> Outcome {
    guard let password = transaction.password(limit: PAMTransaction.maximumAnswer) else {
      return account == nil ? .denied(.unknownUser) : .denied(.noReply)
    }
    return outcomeOfPassword(password, account, policy)
  }

  /// What becomes of a password with a code at its end. With `forward_pass`, what stands before the code is handed
  /// on whatever the verdict, so that the next module's answer says nothing about ours.
  func outcomeOfPassword(_ text: borrowing SecretBuffer, _ account: Account?, _ policy: Policy) -> Outcome {
    var codeLength = 0
    let outcome = check(text, codeLength: &codeLength, account, policy)
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- codeLength)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }

  private func check(
    _ text: borrowing SecretBuffer, codeLength: inout Int, _ account: Account?, _ policy: Policy
  ) -> Outcome {
    guard let account else {
      codeLength = spendTime(on: text, policy)
      return .denied(.unknownUser)
    }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory.bytes, account: account)
      let directory = try EnrollmentDirectory(path, of: account, identity: &identity)
      return try check(text, in: directory, codeLength: &codeLength, policy)
    } catch {
      if error.reason == .absent { codeLength = spendTime(on: text, policy) }
      return Outcome(error)
    }
  }

  /// Every reading of the end of the text is decided at once, under one lock: a wrong one counts once.
  private func check(
    _ text: borrowing SecretBuffer, in directory: borrowing EnrollmentDirectory, codeLength: inout Int,
    _ policy: Policy
  ) throws(EnrollmentFailure) -> Outcome {
    let hasScratchCodes = try hasScratchCodes(directory)
    do throws(Reply.Problem) {
      let reply = try Reply(endOf: text.bytes, hasScratchCodes: hasScratchCodes)
      codeLength = reply.usualLength
      return outcome(of: reply, in: directory, codeLength: &codeLength, policy)
    } catch {
      return Outcome(error)
    }
  }

  private func outcome(
    of reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, codeLength: inout Int, _ policy: Policy
  ) -> Outcome {
    do throws(EnrollmentFailure) {
      let check = try CodeCheck(reply, in: directory, limits: policy.limits, graceKey: graceKey(policy))
      switch check.verdict {
      case .acceptedCode: codeLength = check.digits
      case .acceptedBackupCode: codeLength = reply.backupCodeTyped
      default: break
      }
      return Outcome(check)
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
  private func spendTime(on text: borrowing SecretBuffer, _ policy: Policy) -> Int {
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
