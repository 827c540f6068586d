import HostAccess

/// The findings about the configuration files of a tree, before remedies are verified.
final class HostFindings {
  let tree: HostTree
  let configuration: PAMConfiguration
  private(set) lazy var ssh = SSHExamination(tree: tree, account: account)
  private let account: TreeAccount?
  private let model: PAMModuleModel
  private let cache: Cache

  /// Evaluations, shared by trees with the same lines.
  final class Cache {
    fileprivate var findings: [String: [StackFinding]] = [:]
    fileprivate var services: [String: ServiceState] = [:]
    fileprivate var reports: [String: AccountCheck.Report] = [:]
    fileprivate var accounts: [String: AccountState?] = [:]
  }

  /// The properties of a service that a remedy must preserve.
  struct ServiceState {
    let logins: ServiceLogins
    let admission: StackCheck.Admission
  }

  init(tree: HostTree, account: TreeAccount?, cache: Cache = Cache()) {
    self.tree = tree
    self.account = account
    self.cache = cache
    configuration = PAMConfiguration(tree: tree)
    model = PAMModuleModel(tree: tree)
  }

  /// The findings after edits; nil if they do not fit.
  func applying(_ edits: [Edit]) -> HostFindings? {
    guard let changed = tree.applying(edits) else { return nil }
    return HostFindings(tree: changed, account: account, cache: cache)
  }

  // MARK: Services

  /// All services. Excludes files that only other files include.
  private lazy var ownServices: [String] = {
    let names = configuration.services.filter { !Self.isBackup($0) && $0 != PAMService.password }
    let included = names.reduce(into: Set<String>()) { set, name in
      set.formUnion(configuration.stacks(of: name).origins.values.map(\.target).filter { $0 != name })
    }
    return names.filter { !(included.contains($0) && Self.isShared($0)) }
  }()

  /// Services that call the module in a rule that is no account rule.
  private(set) lazy var services: [String] = ownServices.filter { callsTwoFactor(configuration.stacks(of: $0)) }

  /// Services that call the module only in an account rule, such as cron with a shared file.
  private lazy var accountServices: [String] = ownServices.filter { service in
    !services.contains(service) && !configuration.stacks(of: service).accountRules.isEmpty
  }

  /// The account rules of pam_twofactor, without duplicates.
  private(set) lazy var accountRules: [PAMRule] = {
    var seen: Set<String> = []
    return (services + accountServices).flatMap { configuration.stacks(of: $0).accountRules }
      .filter { seen.insert($0.place).inserted }
  }()

  private func callsTwoFactor(_ stacks: PAMServiceStacks) -> Bool {
    if stacks.chains.contains(where: { $0.key != .account && $0.value.rules.contains(where: \.isTwoFactor) }) {
      return true
    }
    guard stacks.isAborted else { return false }
    // libpam has not read the rest.
    let files = stacks.origins.keys + [stacks.path].compactMap { $0 }
    return files.contains { file in
      tree.lines(of: file).contains { !$0.hasPrefix("#") && $0.contains("pam_twofactor.so") }
    }
  }

  /// The rules of pam_twofactor, each once.
  private(set) lazy var rules: [PAMRule] = {
    var seen: Set<String> = []
    return services.flatMap { configuration.stacks(of: $0).twoFactorRules }.filter { seen.insert($0.place).inserted }
  }()

  /// Whether a package manager or an editor left the file.
  static func isBackup(_ name: String) -> Bool {
    name.hasPrefix(".") || name.hasSuffix("~")
      || [".bak", ".orig", ".rpmsave", ".rpmnew", ".swp", ".pam-old"].contains { name.hasSuffix($0) }
      || name.contains(".dpkg-") || name.contains(".ucf-")
  }

  /// Whether distributions give the name to files that services include.
  static func isShared(_ name: String) -> Bool {
    ["common-", "system-", "base-"].contains { name.hasPrefix($0) }
      || ["-auth", "-auth-pc", "-auth-ac", "-account", "-session"].contains { name.hasSuffix($0) }
      || ["postlogin", "config-util"].contains(name)
  }

  private func key(_ service: String, _ facilities: [PAMFacility] = PAMFacility.allCases) -> String {
    let stacks = configuration.stacks(of: service)
    let rules = facilities.flatMap { stacks.chains[$0]?.handlers ?? [] }.map { handler in
      handler.rule.map { "\($0.place) \(handler.level) \($0.text())" } ?? "\(handler.kind) \(handler.level)"
    }
    let files = Set((stacks.twoFactorRules + stacks.accountRules).map(tree.configuration)).sorted().map {
      tree.text(of: $0) ?? ""
    }
    return ([service, "\(stacks.problems)"] + rules + files).joined(separator: "\n")
  }

  /// Whether another check reports logins without a password.
  private func isPreauthenticated(_ service: String) -> Bool {
    ssh.covers(service) && !isDoubtful
      || ServiceOptionCheck(tree: tree, stacks: configuration.stacks(of: service), others: []).requiresMethod
  }

  private func check(_ service: String, isPreauthenticated: Bool = false) -> StackCheck {
    StackCheck(
      configuration.stacks(of: service), configuration: configuration, model: model,
      isPreauthenticated: isPreauthenticated)
  }

  /// All findings of a service, reported or not.
  func findings(of service: String) -> [StackFinding] {
    let isPreauthenticated = isPreauthenticated(service)
    let key = key(service) + "\n\(isPreauthenticated)"
    if let known = cache.findings[key] { return known }
    let findings =
      check(service, isPreauthenticated: isPreauthenticated).findings + accountReport(of: service).findings
    cache.findings[key] = findings
    return findings
  }

  private func accountReport(of service: String) -> AccountCheck.Report {
    let key = key(service)
    if let known = cache.reports[key] { return known }
    let stacks = configuration.stacks(of: service)
    let report = AccountCheck(stacks, configuration: configuration, model: model).report
    cache.reports[key] = report
    return report
  }

  /// How the service enrolls users at login; nil if it does not.
  func guidance(of service: String) -> EnrollmentGuidance? { accountReport(of: service).guidance }

  /// Nil if the account stack cannot be evaluated.
  func accounts(of service: String) -> AccountState? {
    let key = key(service, [.account])
    if let known = cache.accounts[key] { return known }
    let stacks = configuration.stacks(of: service)
    let isKnown = stacks.obstacle == nil && stacks.problems.isEmpty
    let state =
      isKnown ? AccountState(ServiceEvaluation(stacks, configuration: configuration, model: model)) : nil
    cache.accounts[key] = .some(state)
    return state
  }

  func state(of service: String) -> ServiceState {
    let key = key(service, [.auth])
    if let known = cache.services[key] { return known }
    let state = ServiceState(
      logins: ServiceLogins(configuration.stacks(of: service), configuration: configuration, model: model),
      admission: check(service).admission)
    cache.services[key] = state
    return state
  }

  /// Each reported finding with its services. The first failure of a service explains the others.
  private(set) lazy var ofStacks: [(finding: StackFinding, services: [String])] = {
    var all: [(finding: StackFinding, services: [String])] = []
    for service in services + accountServices {
      var found = findings(of: service)
      if service == ssh.service, let failure = passwordless { found.insert(failure, at: 0) }
      let phases = [found.filter { !$0.isOfAccounts }, found.filter(\.isOfAccounts)]
      for finding in phases.flatMap({ all in all.first { $0.status == .failed }.map { [$0] } ?? all }) {
        if let index = all.firstIndex(where: { $0.finding.identity == finding.identity }) {
          all[index].services.append(service)
        } else {
          all.append((finding, [service]))
        }
      }
    }
    return all
  }()

  /// The finding of sshd's check about a stack without a password.
  private var passwordless: StackFinding? {
    guard let finding = ofSSH.first(where: { $0.name == "pam_code_alone" }) else { return nil }
    return StackFinding(
      name: finding.name, status: finding.status, words: finding.detail,
      rule: configuration.stacks(of: ssh.service).twoFactorRules.first, isReportedElsewhere: true)
  }

  /// Further remedies for ``passwordless``.
  var passwordlessRemedies: [[Edit]] {
    passwordless.map {
      RemedyCandidates($0, stacks: configuration.stacks(of: ssh.service), configuration: configuration).preferred
    } ?? []
  }

  // MARK: Other files

  /// Findings of other checks, which depend on the same files.
  private(set) lazy var ofFiles: [Finding] = {
    var findings = SettingsCheck(tree: tree, rules: rules + accountRules).findings
    findings += GuessingCheck(tree: tree, rules: rules).findings
    findings += GroupSourceCheck(tree: tree, rules: rules).findings
    return findings + ofOptions + ofPolicy
  }()

  /// Findings about the programs that use the services, with other edits that may fix them.
  private(set) lazy var ofPrograms: [(finding: Finding, others: [[Edit]])] =
    SingleFieldCheck(configuration).findings + [ProFTPDCheck(configuration).finding].compactMap { $0 }.map { ($0, []) }

  private(set) lazy var ofSSH: [Finding] = isDoubtful ? allOfSSH.filter { $0.name != "pam_code_alone" } : allOfSSH

  private lazy var allOfSSH: [Finding] = ssh.findings(of: stack(of: ssh.service)) { [self] in stack(of: $0) }

  private func stack(of service: String) -> SSHExamination.Stack {
    SSHExamination.Stack(
      rules: configuration.stacks(of: service).twoFactorRules, logins: state(of: service).logins,
      guidance: guidance(of: service))
  }

  /// Whether sshd may ask for less than a password and a code, but an unknown module may check a password.
  private lazy var isDoubtful: Bool =
    allOfSSH.contains { $0.name == "pam_code_alone" } && check(ssh.service).mayCheckPassword

  private var ofOptions: [Finding] {
    let stacks = services.map(configuration.stacks)
    return stacks.flatMap { ServiceOptionCheck(tree: tree, stacks: $0, others: stacks).findings }
  }
}

extension PAMServiceStacks {
  /// The rules of pam_twofactor for authentication.
  var twoFactorRules: [PAMRule] { (chains[.auth]?.rules ?? []).filter(\.isTwoFactor) }

  /// The rules of the service's own file, and of those that it includes.
  var ownRules: [PAMRule] { chain(.auth).rules.filter { $0.file == path || origins[$0.file] != nil } }
}
