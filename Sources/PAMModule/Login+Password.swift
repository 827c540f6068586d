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
  func outcomeOfPassword(
    _ text: borrowing SecretBuffer, _ account: Account?, _ policy: Policy, isTrial: Bool = false
  ) -> Outcome {
    var reading = PasswordWithCode.usualReading(of: text.bytes)
    let outcome = check(text, reading: &reading, account, policy, isTrial: isTrial)
    if policy.password.isForwarded {
      let password = text.bytes.slice(from: 0, to: text.bytes.count &- reading)
      guard transaction.setPassword(password) else {
        return Outcome(EnrollmentFailure(.io, "password", "cannot be handed on"))
      }
    }
    return outcome
  }

  /// Tries the readings of the end of a text, one after the other. Together they count as one wrong code, and what
  /// is refused as used before, or as one of another time, is what the log says.
  private func check(
    _ text: borrowing SecretBuffer, reading: inout Int, _ account: Account?, _ policy: Policy, isTrial: Bool
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
      // Many a password ends in ten letters that could be a backup code. Nobody guesses one of those; where the user
      // is asked all the same, it is not counted against the owner of such a password.
      let isCounted = !isTrial || readings[0] < Reply.backupCodeLength
      var outcome = Outcome.denied(.malformedReply)
      var telling = 0
      var indices = Counter(to: readings.count)
      while let index = indices.next() {
        let isLast = index &+ 1 >= readings.count
        let keeping: CodeCheck.Keeping = isLast && isCounted && telling == 0 ? .everything : .acceptance
        let found = try check(text, last: readings[index], in: directory, policy, keeping: keeping)
        if telling == 0 || !found.isRefusal { outcome = found }
        guard found.isRefusal else {
          reading = readings[index]
          return outcome
        }
        if telling == 0, found.isOfRightCode, !isLast { telling = readings[index] }
      }
      guard telling > 0 else { return outcome }
      outcome = try check(text, last: telling, in: directory, policy, keeping: .everything)
      if !outcome.isRefusal { reading = telling }
      return outcome
    } catch {
      if error.reason == .absent { spendTime(on: text.bytes.slice(from: text.bytes.count &- reading), policy) }
      return Outcome(error)
    }
  }

  private func readings(
    of text: borrowing SecretBuffer, _ directory: borrowing EnrollmentDirectory, _ policy: Policy
  ) throws(EnrollmentFailure) -> PasswordWithCode.Readings {
    let credential = try directory.readCredential()
    return PasswordWithCode.readings(
      of: text.bytes, for: credential, acceptsBackupCodes: policy.limits.acceptsBackupCodes)
  }

  /// Checks the last `length` bytes of a text.
  private func check(
    _ text: borrowing SecretBuffer, last length: Int, in directory: borrowing EnrollmentDirectory, _ policy: Policy,
    keeping: CodeCheck.Keeping
  ) throws(EnrollmentFailure) -> Outcome {
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(text.bytes.slice(from: text.bytes.count &- length))
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
