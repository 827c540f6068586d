import HostAccess

/// Finds edits that fix a finding, by applying them to a copy of the tree and evaluating everything again.
struct RemedySearch {
  let before: HostFindings

  /// More do not help in any stack of the tests.
  private static let maximumCandidates = 500
  private static let maximumRules = 100

  private enum Demand {
    /// Nothing new is found.
    case strict
    /// Warnings may appear; in stacks that refused everyone, failures too.
    case lenient
  }

  // MARK: Findings of stacks

  func finding(_ stack: StackFinding, _ services: [String]) -> Finding {
    let remedy = remedy(for: stack, services).map { edits in
      [edits.text, stack.condition].compactMap { $0 }.joined(separator: "\n")
    }
    return Finding(
      name: stack.name, status: stack.status, detail: stack.detail(of: services), remedy: remedy ?? stack.advice)
  }

  private func remedy(for finding: StackFinding, _ services: [String]) -> [Edit]? {
    guard finding.name != "pam_evaluation", let service = services.first else { return nil }
    let stacks = before.configuration.stacks(of: service)
    guard stacks.obstacle == nil, stacks.chain(.auth).rules.count <= Self.maximumRules else { return nil }
    let candidates =
      finding.isOfAccounts
      ? AccountRemedies(
        finding, stacks: services.map(before.configuration.stacks), configuration: before.configuration
      ).all.prefix(Self.maximumRules)
      : RemedyCandidates(finding, stacks: stacks, configuration: before.configuration)
        .all.prefix(count(for: service))
    var partial: [Edit]?
    var last: [Edit]?
    for edits in candidates {
      guard let after = before.applying(edits), fixes(finding, services, after) else { continue }
      if isSafe(after, .strict) {
        let isClean = services.allSatisfy { service in
          after.findings(of: service).allSatisfy { $0.status != .failed }
        }
        if isClean { return edits }
        if partial == nil { partial = edits }
      } else if partial == nil, last == nil, isSafe(after, .lenient) {
        last = edits
      }
    }
    return partial ?? last
  }

  /// The number of candidates to try. An evaluation takes longer for many combinations.
  private func count(for service: String) -> Int {
    let combinations = before.state(of: service).admission.combinations
    return Self.maximumCandidates * 64 / max(combinations, 64)
  }

  /// Whether the finding is gone from its services, and none of their users with password and code is refused.
  private func fixes(_ finding: StackFinding, _ services: [String], _ after: HostFindings) -> Bool {
    services.allSatisfy { service in
      let found = after.findings(of: service)
      guard !found.contains(where: { finding.isSame(as: $0) || $0.name == "pam_dead_end" }) else {
        return false
      }
      // Remedies of account stacks do not change authentication.
      if finding.isOfAccounts { return true }
      let state = after.state(of: service)
      return state.admission.refusals.isEmpty
        && (finding.name == "pam_syntax" || state.logins.enrolled?.isRefused == false)
    }
  }

  /// A first rule of pam_twofactor, with which a service asks users for a code.
  func firstRule() -> [Edit]? {
    let configuration = before.configuration
    guard let service = ["sshd", "login"].first(where: { configuration.path(of: $0) != nil }) else { return nil }
    let none = StackFinding(name: "pam_stacks", status: .warning, words: "")
    let stacks = configuration.stacks(of: service)
    guard stacks.obstacle == nil, !stacks.isAborted, stacks.chain(.auth).rules.count <= Self.maximumRules else {
      return nil
    }
    let edits = RemedyCandidates(none, stacks: stacks, configuration: configuration)
      .insertions(of: "auth required pam_twofactor.so nullok").prefix(Self.maximumRules)
    func asks(_ edit: Edit, _ isAllowed: (StackFinding) -> Bool) -> Bool {
      guard let after = before.applying([edit]) else { return false }
      return after.state(of: service).logins.asksForCode && after.findings(of: service).allSatisfy(isAllowed)
    }
    let edit = edits.first { asks($0) { _ in false } } ?? edits.first { asks($0) { $0.status != .failed } }
    return edit.map { [$0] }
  }

  // MARK: Other findings

  /// The finding with its remedy, if its edits are safe and remove the finding, else with one of the others.
  func verified(_ finding: Finding, in list: (HostFindings) -> [Finding], or others: [[Edit]] = []) -> Finding {
    let edits = [Edit](remedy: finding.remedy ?? "")
    guard !edits.isEmpty else { return finding }
    func isVerified(_ edits: [Edit]) -> Bool {
      guard let after = before.applying(edits) else { return false }
      return Self.count(finding, list(after)) < Self.count(finding, list(before)) && isSafe(after, .lenient)
    }
    if isVerified(edits) { return finding }
    if let other = others.first(where: isVerified) {
      return Finding(name: finding.name, status: finding.status, detail: finding.detail, remedy: other.text)
    }
    let place = edits[0].file + (edits[0].line.map { ", line \($0)" } ?? "")
    let hint = (finding.remedy ?? "").split(separator: "\n").map(String.init).filter { $0.contains(": man ") }
    return Finding(
      name: finding.name, status: finding.status, detail: finding.detail,
      remedy: (["look at \(place)"] + hint).joined(separator: "\n"))
  }

  private static func count(_ finding: Finding, _ all: [Finding]) -> Int {
    all.count { $0.name == finding.name && $0.status == finding.status }
  }

  // MARK: Safety

  /// Whether users need at least as much as before, those with password and code still log in, and nothing new fails.
  private func isSafe(_ after: HostFindings, _ demand: Demand) -> Bool {
    for service in Set(before.configuration.services).union(after.configuration.services) {
      let (old, new) = (before.state(of: service), after.state(of: service))
      let wasDead = old.logins.enrolled?.isRefused == true && old.logins.unenrolled?.isRefused == true
      // Not a login: the command checks the code itself.
      guard wasDead || service == PAMService.password || Self.keepsNeeds(old, new) else { return false }
      guard new.admission.refusals.isSubset(of: old.admission.refusals),
        old.admission.modules.isSubset(of: new.admission.modules), keepsAccounts(service, after)
      else { return false }
      let mayFail = demand == .lenient && wasDead
      let known = Set(before.findings(of: service).map(\.identity))
      let fresh = after.findings(of: service).filter { !known.contains($0.identity) }
      guard mayFail || fresh.allSatisfy({ demand == .lenient && $0.status != .failed }) else { return false }
    }
    return Self.isQuiet(before.ofFiles + before.ofSSH, after.ofFiles + after.ofSSH)
  }

  /// Whether the account phase lets in the same users as before, apart from those who must enroll.
  private func keepsAccounts(_ service: String, _ after: HostFindings) -> Bool {
    guard let old = before.accounts(of: service) else { return true }
    return after.accounts(of: service).map(old.isKept) ?? false
  }

  private static func keepsNeeds(_ old: HostFindings.ServiceState, _ new: HostFindings.ServiceState) -> Bool {
    guard let oldEnrolled = old.logins.enrolled, let oldOthers = old.logins.unenrolled else { return true }
    guard let enrolled = new.logins.enrolled, let others = new.logins.unenrolled else { return false }
    // If enrolled users were refused before, they must need both.
    let both = LoginNeeds(passing: [[.password, .code]])
    return enrolled.isAtLeast(oldEnrolled.isRefused ? both : oldEnrolled) && others.isAtLeast(oldOthers)
      && (oldEnrolled.isRefused || !enrolled.isRefused)
  }

  /// Whether no check has more failures than before.
  private static func isQuiet(_ before: [Finding], _ after: [Finding]) -> Bool {
    let failures = after.filter { $0.status == .failed }
    return failures.allSatisfy { count($0, after) <= count($0, before) }
  }
}
