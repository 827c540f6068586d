internal import CSystem
internal import Enrollment
internal import FixedMemory
internal import HelperProtocol
internal import LoginPolicy
internal import SystemFiles
internal import Verification

/// Users and logins that the policy exempts.
extension Login {
  /// Returns nil to prompt for a code.
  mutating func outcomeBeforeQuestion(_ account: borrowing Account, _ policy: borrowing Policy) -> Outcome? {
    if policy.trustedNetworks.count > 0, isRemoteHost(in: policy.trustedNetworks) {
      return .exempt(why: "trusted network")
    }
    if policy.skippedMethods.count > 0, hasPassed(anyOf: policy.skippedMethods) {
      return .exempt(why: "passed another method")
    }
    if policy.exemptGroups.count > 0, account.isKnown {
      switch membership(of: account, in: .exemptGroups, policy) {
      case .yes: return .exempt(why: "exempt group")
      case .no: break
      case .unknown(let outcome): return outcome
      }
    }
    var isInGroups = true
    if policy.onlyGroups.count > 0, account.isKnown {
      switch membership(of: account, in: .onlyGroups, policy) {
      case .yes: break
      // This proves nothing: a failing name service reports too few groups.
      case .no: isInGroups = false
      case .unknown(let outcome): return outcome
      }
    }
    if !isInGroups || policy.passesUnenrolled || policy.enrollment != .no || policy.requiredFrom != nil
      || policy.gracePeriod > 0
    {
      // The time until the question must not tell that an account does not exist.
      var outcome = Outcome.denied(.unknownUser)
      if account.isKnown {
        guard let found = outcomeOfEnrollment(account, policy, isInGroups: isInGroups) else { return nil }
        outcome = found
      }
      var codeLength = 0
      guard askHelper(&outcome, Literal("").bytes, .login, account, policy, codeLength: &codeLength) else {
        return account.isKnown ? outcome : nil
      }
      switch outcome {
      case .denied(.refused), .denied(.unknownUser): return nil
      case .denied(.notEnrolled):
        let doubt = Self.doubtAboutAbsence(of: account, policy)
        return doubt.map { Outcome($0) } ?? exemptionOfUnenrolled(policy, isInGroups: isInGroups)
      default: return outcome
      }
    }
    return nil
  }

  func isRemoteHost(in networks: Span<UInt8>) -> Bool {
    guard let address = remoteAddress else { return false }
    var words = ListWords()
    while let word = words.next(in: networks) {
      if let network = Network(word), network.contains(address) { return true }
    }
    return false
  }

  private enum Membership {
    case yes
    case no

    /// A group does not exist, or a lookup failed.
    case unknown(Outcome)
  }

  private mutating func membership(
    of account: borrowing Account, in option: PolicyOption, _ policy: borrowing Policy
  ) -> Membership {
    var groups: UnsafeMutablePointer<gid_t>?
    let primary = account.groupID.rawValue
    // SAFETY: the array has `count` groups; names are NUL-terminated.
    let count = unsafe account.name.withCString { unsafe csystem_account_groups($0, primary, &groups) }
    guard count >= 0, let groups = unsafe groups else { return .unknown(groupsFailure()) }
    defer { unsafe free(groups) }
    var isMember = false
    var words = ListWords()
    let list = option == .onlyGroups ? policy.onlyGroups : policy.exemptGroups
    while let word = words.next(in: list) {
      var text = ByteText(capacity: 255)
      guard text.hasMemory else { return .unknown(Outcome(EnrollmentFailure(.io, "groups", "out of memory"))) }
      text.append(word)
      var group: gid_t = 0
      var listsAccount: Int32 = 0
      let found = unsafe text.withCString { text in
        unsafe account.name.withCString { unsafe csystem_find_group(text, $0, &group, &listsAccount) }
      }
      guard found >= 0 else { return .unknown(groupsFailure()) }
      guard found > 0, !text.isTruncated else {
        return .unknown(noSuchGroup(text, policy.problem("there is no such group", of: option)))
      }
      if listsAccount != 0 { isMember = true }
      var indices = Counter(to: Int(count))
      while let index = indices.next() {
        if unsafe groups[index] == group { isMember = true }
      }
    }
    return isMember ? .yes : .no
  }

  private func groupsFailure() -> Outcome {
    Outcome(EnrollmentFailure(.io, "groups", "cannot be looked up", error: .current))
  }

  private mutating func noSuchGroup(_ name: borrowing ByteText, _ problem: PolicyProblem) -> Outcome {
    words = ByteText(capacity: Outcome.wordsCapacity)
    guard words.hasMemory else { return .denied(.outOfMemory) }
    problem.describe(into: &words, path: arguments.policyFilePath)
    words.append(": ")
    words.append(name)
    return .denied(.configuration)
  }
}
