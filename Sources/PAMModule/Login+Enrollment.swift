internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import OneTimePassword
internal import SystemFiles
internal import Verification

extension Login {
  /// Opens the enrollment of an account with the user's file-system identity; nothing else in the module does. Throws a
  /// failure of kind `absent` if there is no enrollment, `gone` if it was disabled meanwhile.
  private static func withEnrollment<Result>(
    of account: borrowing Account, _ policy: borrowing Policy,
    _ body: (_ directory: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> Result
  ) throws(EnrollmentFailure) -> Result {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      let result = try body(directory(of: account, policy, &identity))
      identity.restore()
      try HostStore.requirePresence(of: account.userID, policy.isHostStore)
      return result
    } catch {
      // `twofactor disable` first renames the directory, then erases the files. The enrollment looks corrupt then.
      guard error.reason == .corrupt, isAbsent(account, policy, &identity) else { throw error }
      throw EnrollmentFailure(.gone, "directory", "was removed")
    }
  }

  private static func isAbsent(
    _ account: borrowing Account, _ policy: borrowing Policy, _ identity: inout FileSystemIdentity
  ) -> Bool {
    do throws(EnrollmentFailure) {
      _ = try directory(of: account, policy, &identity)
      return false
    } catch {
      return error.reason == .absent
    }
  }

  @inline(never)
  private static func directory(
    of account: borrowing Account, _ policy: borrowing Policy, _ identity: inout FileSystemIdentity
  ) throws(EnrollmentFailure) -> EnrollmentDirectory {
    let path = try EnrollmentPath(template: policy.directory, account: account, isShared: policy.isShared)
    guard !policy.owner.isEmpty else { return try EnrollmentDirectory(path, of: account, identity: &identity) }
    guard !path.isBelowHome else {
      throw EnrollmentFailure(.configuration, "owner", "needs a directory outside the homes")
    }
    var name = ByteText(capacity: 255)
    name.append(policy.owner)
    var owner = Account()
    switch owner.find(named: name) {
    case .found: return try EnrollmentDirectory(path, of: owner, identity: &identity)
    case .unknown: throw EnrollmentFailure(.configuration, "owner", "is not an account")
    case .failed(let error): throw EnrollmentFailure(.io, "owner", "cannot be looked up", error: error)
    }
  }

  /// Decides if a grace period applies, or the user is not enrolled. Returns nil to prompt for a code. `isInGroups`:
  /// whether `only_groups` includes the user.
  func outcomeOfEnrollment(
    _ account: borrowing Account, _ policy: borrowing Policy, isInGroups: Bool
  ) -> Outcome? {
    do throws(EnrollmentFailure) {
      return try Self.withEnrollment(of: account, policy) { directory throws(EnrollmentFailure) -> Outcome? in
        guard let key = graceKey(policy) else { return nil }
        let passes = try GraceCheck.passes(key, in: directory, period: policy.gracePeriod, limits: policy.limits)
        return passes ? .accepted(.grace) : nil
      }
    } catch {
      // Many users outside the groups have no home, or one that others can write. The register then decides alone.
      guard error.reason == .absent || !isInGroups && error.isAboutHome else { return Outcome(error) }
      guard let exemption = exemptionOfUnenrolled(policy, isInGroups: isInGroups) else { return nil }
      guard let doubt = Self.doubtAboutAbsence(of: account, policy, isProven: error.isProven) else { return exemption }
      return Outcome(error.reason == .absent ? doubt : error)
    }
  }

  /// How the policy exempts a user who is not enrolled; nil if it does not.
  func exemptionOfUnenrolled(_ policy: borrowing Policy, isInGroups: Bool) -> Outcome? {
    if !isInGroups { return .exempt(why: "not in the groups that are asked") }
    if policy.enrollment != .no { return .unenrolled }
    if let day = policy.requiredFrom { return CalendarDay(of: SystemClock.now) < day ? .exemptUntil(day) : nil }
    return policy.passesUnenrolled ? .unenrolled : nil
  }

  /// Why a missing enrollment does not prove that the user is not enrolled; nil if it does. `isProven`: see
  /// ``EnrollmentFailure/isProven``.
  static func doubtAboutAbsence(
    of account: borrowing Account, _ policy: borrowing Policy, isProven: Bool = false
  ) -> EnrollmentFailure? {
    do throws(EnrollmentFailure) {
      try HostStore.requirePresence(of: account.userID, false)
    } catch {
      return error
    }
    if isProven { return nil }
    return switch EnrollmentRegister.contains(account.userID) {
    case .registered: EnrollmentFailure(.missing, "directory", "does not exist, but the user is registered as enrolled")
    // Installation creates parent and register together, so this is a mount point whose file system is not mounted.
    case .noRegister(isParentThere: true) where policy.directory.starts(with: "/var/lib/twofactor/"):
      EnrollmentFailure(.missing, "directory", "does not exist, and /var/lib/twofactor has no register")
    case .unknown(let failure): failure
    // Without a register, or in a screen locker, which cannot search it, a missing enrollment is proof enough.
    case .notRegistered, .noRegister, .notPermitted: nil
    }
  }

  mutating func outcomeOfReply(
    _ text: borrowing SecretBuffer, _ account: borrowing Account, _ policy: borrowing Policy
  ) -> Outcome {
    do throws(Reply.Problem) {
      var outcome = try outcome(of: Reply(text.bytes), account, policy)
      var codeLength = 0
      askHelper(&outcome, text.bytes, .login, account, policy, codeLength: &codeLength)
      return outcome
    } catch {
      // Show only in the log that the account does not exist.
      return account.isKnown ? Outcome(error) : .denied(.unknownUser)
    }
  }

  private mutating func outcome(
    of reply: borrowing Reply, _ account: borrowing Account, _ policy: borrowing Policy
  ) -> Outcome {
    guard account.isKnown else {
      Decoy.check(reply, limits: policy.limits, now: SystemClock.now)
      return .denied(.unknownUser)
    }
    do throws(EnrollmentFailure) {
      return try Self.withEnrollment(of: account, policy) { directory throws(EnrollmentFailure) -> Outcome in
        try outcome(of: CodeCheck(reply, in: directory, limits: policy.limits, graceKey: graceKey(policy)))
      }
    } catch {
      if error.reason == .absent { Decoy.check(reply, limits: policy.limits, now: SystemClock.now) }
      return Outcome(error)
    }
  }

  /// Verifies the code at the end of a password as every kind of code at once, so that a wrong one counts only once.
  /// Sets `codeLength` if it is known.
  mutating func outcomeOfCode(
    atEndOf text: borrowing SecretBuffer, codeLength: inout Int, _ account: borrowing Account,
    _ policy: borrowing Policy, countsFailure: Bool
  ) -> Outcome {
    guard account.isKnown else {
      codeLength = Self.spendTime(on: text.bytes, policy)
      return .denied(.unknownUser)
    }
    do throws(EnrollmentFailure) {
      return try Self.withEnrollment(of: account, policy) { directory throws(EnrollmentFailure) -> Outcome in
        try outcomeOfCode(atEndOf: text, in: directory, codeLength: &codeLength, policy, countsFailure: countsFailure)
      }
    } catch {
      if error.reason == .absent { codeLength = Self.spendTime(on: text.bytes, policy) }
      return Outcome(error)
    }
  }

  private mutating func outcomeOfCode(
    atEndOf text: borrowing SecretBuffer, in directory: borrowing EnrollmentDirectory, codeLength: inout Int,
    _ policy: borrowing Policy, countsFailure: Bool
  ) throws(EnrollmentFailure) -> Outcome {
    let hasScratchCodes = try directory.readCredential().hasScratchCodes
    let reply: Reply
    do throws(Reply.Problem) {
      reply = try Reply(endOf: text.bytes, hasScratchCodes: hasScratchCodes)
    } catch {
      return Outcome(error)
    }
    return try outcome(of: reply, in: directory, codeLength: &codeLength, policy, countsFailure: countsFailure)
  }

  private mutating func outcome(
    of reply: borrowing Reply, in directory: borrowing EnrollmentDirectory, codeLength: inout Int,
    _ policy: borrowing Policy, countsFailure: Bool
  ) throws(EnrollmentFailure) -> Outcome {
    codeLength = reply.usualLength
    let check = try CodeCheck(
      reply, in: directory, limits: policy.limits, graceKey: graceKey(policy), countsFailure: countsFailure)
    switch check.verdict {
    case .acceptedCode: codeLength = check.digits
    case .acceptedBackupCode: codeLength = reply.backupCodeTyped
    case .refused: break
    }
    return outcome(of: check)
  }

  /// Takes as long as verification. Returns the length of the code; 0 if there is none.
  static func spendTime(on text: Span<UInt8>, _ policy: borrowing Policy) -> Int {
    do throws(Reply.Problem) {
      let reply = try Reply(endOf: text, hasScratchCodes: false)
      Decoy.check(reply, limits: policy.limits, now: SystemClock.now)
      return reply.usualLength
    } catch {
      // Without a code, the refusal of an enrolled user is as quick.
      return 0
    }
  }

  private mutating func outcome(of check: consuming CodeCheck) -> Outcome {
    switch check.verdict {
    case .acceptedCode:
      backupCodeUsedAt = check.backupCodeUsedAt
      let isCounterBased = check.isCounterBased
      words = check.takeDeviceName()
      return .accepted(isCounterBased ? .hotp : .totp)
    case .acceptedBackupCode: return .accepted(.backupCode(left: check.backupCodesLeft))
    case .refused(let refusal):
      words = check.takeDeviceName()
      return .denied(.refused(refusal))
    }
  }

  /// Nil for local logins, host names, and addresses with a zone, which are not unique.
  func graceKey(_ policy: borrowing Policy) -> GraceKey? {
    guard policy.gracePeriod > 0, let address = remoteAddress, !address.hasZone else { return nil }
    return GraceKey(service: transaction.service, address: address.bytes.span)
  }
}
