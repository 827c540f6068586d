import HostAccess

/// How a service treats one user.
package struct UserLogins {
  package let service: String
  /// Whether the service could be evaluated. If only sshd's configuration could not, the other values
  /// describe the stack alone.
  package private(set) var isKnown: Bool
  /// Whether it asks the user for a code after enrollment, whatever else it asks for.
  package let asksForCode: Bool
  /// Whether it would let the enrolled user in, and refuse the user without the enrollment. A service that enrolls users
  /// at login does not refuse.
  package let requiresEnrollment: Bool
  /// Whether it would refuse the enrolled user, and let the user in without the enrollment.
  package private(set) var refusesEnrolled: Bool
  /// Whether the password alone would be enough without the enrollment.
  package private(set) var acceptsPassword: Bool
  /// Whether the account stack would let the user in without an enrollment.
  private let admitsUnenrolled: Bool

  /// The services that call pam_twofactor, and those that cannot be evaluated, according to the files that this process
  /// can read. `isMember` returns whether the user belongs to one of the groups.
  package static func all(of account: UserAccount, isMember: ([String]) -> Bool) -> [UserLogins] {
    let tree = HostTree()
    let configuration = PAMConfiguration(tree: tree)
    let model = PAMModuleModel(tree: tree)
    let names = configuration.services.filter { !HostFindings.isBackup($0) }
    var enrolling: Set<String> = []
    let services = names.map(configuration.stacks).compactMap { stacks -> ServiceLogins? in
      let rules = stacks.chain(.auth).rules.filter(\.isTwoFactor)
      guard stacks.obstacle != nil || !rules.isEmpty else { return nil }
      let memberships = rules.map { rule in
        let options = tree.options(of: rule)
        return (
          rule: rule, isExempt: options.map { isMember($0.exemptGroups) } ?? false,
          mustEnroll: options.map { !$0.exemptsUnenrolledMembers && isMember($0.onlyGroups) } ?? false
        )
      }
      let isExempt = memberships.contains(where: \.isExempt)
      if !isExempt, !admitsUnenrolled(stacks, configuration: configuration, model: model, isMember) {
        enrolling.insert(stacks.service)
      }
      return ServiceLogins(stacks, configuration: configuration, model: model) { rule, isEnrolled in
        guard let user = memberships.first(where: { $0.rule == rule }) else { return nil }
        return user.isExempt ? .ignore : user.mustEnroll && !isEnrolled ? .authenticationError : nil
      }
    }
    let logins = services.map { UserLogins($0, admitsUnenrolled: !enrolling.contains($0.service)) }
    return throughSSH(logins, services, tree: tree, account: account)
  }

  /// Whether the account stack lets the user in without an enrollment.
  private static func admitsUnenrolled(
    _ stacks: PAMServiceStacks, configuration: PAMConfiguration, model: PAMModuleModel, _ isMember: ([String]) -> Bool
  ) -> Bool {
    guard stacks.obstacle == nil, !stacks.accountRules.isEmpty,
      !SingleFieldProgram.skippingAccounts.contains(stacks.service)
    else { return true }
    // pam_twofactor remembers no users outside the groups.
    let groups = stacks.twoFactorRules.compactMap { configuration.tree.options(of: $0)?.onlyGroups }
    guard groups.contains(where: { $0.isEmpty || isMember($0) }) else { return true }
    let evaluation = ServiceEvaluation(stacks, configuration: configuration, model: model)
    guard let runs = try? evaluation.accountRuns(.declined) else { return true }
    return runs.contains { $0.status == .success } || !runs.contains { $0.statusWithoutTwoFactor.admits }
  }

  private init(_ logins: ServiceLogins, admitsUnenrolled: Bool) {
    self.admitsUnenrolled = admitsUnenrolled
    service = logins.service
    isKnown = logins.problem == nil
    asksForCode = logins.asksForCode
    let enrolledIsRefused = logins.enrolled?.isRefused == true
    let unenrolledIsRefused = logins.unenrolled?.isRefused == true
    let canEnroll = admitsUnenrolled || SingleFieldProgram.using(service) == nil
    requiresEnrollment = !enrolledIsRefused && (unenrolledIsRefused || !canEnroll)
    refusesEnrolled = enrolledIsRefused && !unenrolledIsRefused
    acceptsPassword = logins.unenrolled?.text == "password" && admitsUnenrolled
  }

  /// Applies the methods of sshd, which may not call PAM, or not show prompts.
  private static func throughSSH(
    _ all: [UserLogins], _ services: [ServiceLogins], tree: HostTree, account: UserAccount
  ) -> [UserLogins] {
    let configuration = SSHConfiguration(tree)
    guard configuration.path != nil else { return all }
    let login = SSHConnections(configuration, tree: tree, account: TreeAccount(account)).ordinary
    let settings = configuration.settings(for: login)
    let name = settings[.pamServiceName]
    guard let index = services.firstIndex(where: { $0.service == name }) else {
      // sshd calls another service, which asks for no code.
      return all.filter { $0.service == name || $0.service != SSHKeyword.pamServiceName.standard }
    }
    var all = all
    guard configuration.problem == nil else {
      all[index].isKnown = false
      return all
    }
    guard settings.isOn(.usePAM), settings.methods.contains(where: SSHLogins.usesPAM) else {
      all.remove(at: index)
      return all
    }
    let ways = SSHLogins(settings: settings, service: services[index], requiredMethods: []).ways
      .filter { SSHLogins.usesPAM($0.methods) }
    all[index].refusesEnrolled =
      ways.allSatisfy(\.enrolled.isRefused) && ways.contains { !$0.unenrolled.isRefused }
    all[index].acceptsPassword =
      all[index].admitsUnenrolled && ways.contains { !$0.hasProof && $0.unenrolled.text == "password" }
    return all
  }
}
