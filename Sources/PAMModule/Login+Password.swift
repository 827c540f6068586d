internal import Enrollment
internal import FixedMemory
internal import LoginPolicy
internal import Verification

/// The code at the end of a password, for clients with a single field.
extension Login {
  /// What becomes of the password that an earlier module asked for.
  func outcomeOfEarlierPassword(_ account: Account?, _ policy: Policy) -> Outcome {
    guard let password = transaction.password(limit: PasswordWithCode.maximumLength) else {
      return account == nil ? .denied(.unknownUser) : .denied(.noReply)
    }
    return outcomeOfPassword(password, account, policy)
  }

  /// What becomes of a password with a code at its end. With `forward_pass`, what stands before the code is handed
  /// on whatever the verdict, so that the next module's answer says nothing about ours.
  func outcomeOfPassword(_ text: borrowing SecretBuffer, _ account: Account?, _ policy: Policy) -> Outcome {
    var reading = PasswordWithCode.usualReading(of: text.bytes)
    let outcome = check(text, reading: &reading, account, policy)
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- reading)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }

  /// Tries the readings of the end of a text, one after the other; only the last one counts as wrong.
  private func check(
    _ text: borrowing SecretBuffer, reading: inout Int, _ account: Account?, _ policy: Policy
  ) -> Outcome {
    guard let account else {
      spendTime(on: text.bytes.slice(from: text.bytes.count &- reading), policy)
      return .denied(.unknownUser)
    }
    guard text.bytes.count > 0 else { return .denied(.noReply) }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let path = try EnrollmentPath(template: policy.directory.bytes, account: account)
      let directory = try EnrollmentDirectory(path, of: account, identity: &identity)
      let readings = try readings(of: text, directory, policy)
      var outcome = Outcome.denied(.malformedReply)
      var indices = Counter(to: readings.count)
      while let index = indices.next() {
        let end = text.bytes.slice(from: text.bytes.count &- readings[index])
        let isLast = index &+ 1 >= readings.count
        outcome = try check(end, in: directory, policy, keeping: isLast ? .everything : .acceptance)
        guard outcome.isRefusal else {
          reading = readings[index]
          return outcome
        }
      }
      return outcome
    } catch {
      if error.reason == .absent { spendTime(on: text.bytes.slice(from: text.bytes.count &- reading), policy) }
      return outcome(of: error, account, policy, &identity)
    }
  }

  private func readings(
    of text: borrowing SecretBuffer, _ directory: borrowing EnrollmentDirectory, _ policy: Policy
  ) throws(EnrollmentFailure) -> PasswordWithCode.Readings {
    let credential = try directory.readCredential()
    return PasswordWithCode.readings(
      of: text.bytes, for: credential, acceptsBackupCodes: policy.limits.acceptsBackupCodes)
  }

  private func check(
    _ end: Span<UInt8>, in directory: borrowing EnrollmentDirectory, _ policy: Policy, keeping: CodeCheck.Keeping
  ) throws(EnrollmentFailure) -> Outcome {
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(end)
    } catch {
      return Outcome(error)
    }
    return Outcome(
      try CodeCheck(
        reply, in: directory, limits: policy.limits, keeping: keeping, graceKey: graceKey(policy)))
  }

  /// The time that a code of somebody who is enrolled would take.
  private func spendTime(on end: Span<UInt8>, _ policy: Policy) {
    do throws(Reply.Problem) {
      let reply = try Reply(end)
      Decoy.check(reply, limits: policy.limits, now: SystemClock.now)
    } catch {
      // What is no code takes no time.
    }
  }
}
