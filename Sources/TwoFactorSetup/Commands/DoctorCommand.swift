import ArgumentParser
import Glibc
import HostAccess
import HostDoctor

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check this host, and print what to change.",
    discussion: """
      Checks the file of the module, every PAM stack that calls it, the configuration of sshd with its Match blocks, \
      the services of programs with a single password field, twofactor.conf, the clock, units that hide the homes, the \
      sources of groups, the register of enrolled users, the host store with its helper, the servers of \
      store=postgresql, and the files of enrollments with their file systems and SELinux labels. It \
      names the users whom a service refuses. As root, it checks the enrollments of all users, else yours. Then it \
      lists what each service requires from users who are enrolled and from users who are not. It changes nothing \
      (with shared = yes, only the time of a state file on each file server, to compare the clocks), and \
      prints a change of a configuration file only if an evaluation of the changed files confirms it. The exit status \
      is 0, or 78 if a check failed.
      """)

  @Option(
    help: ArgumentHelp("Check another tree instead of this host, such as an image or a chroot.", valueName: "dir"),
    completion: .directory)
  var root: String?

  @Flag(help: "Exit with status 1 if there are warnings.")
  var strict = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let tree = try root.map { try HostTree(root: $0) } ?? HostTree()
    let services = ServiceSurvey(tree: tree).services
    let findings = try tree.isThisHost ? findings(on: tree, services) : findings(in: tree, services)
    let output = OutputStream.standardOutput
    if common.json {
      let object = JSONValue.object([
        ("checks", .array(findings.map(\.json))), ("services", .array(services.map(\.json))),
      ])
      try output.write(object.text + "\n")
    } else {
      let table = ServiceTable(services: services).text(on: Terminal(json: false))
      try output.write([findings.map(\.text).joined(), table, summary(findings) + "\n"].joined(separator: "\n"))
    }
    try output.flush()
    let status = Self.exitStatus(of: findings, strict: strict)
    if status != .done { throw ExitCode(status.rawValue) }
  }

  static func exitStatus(of findings: [Finding], strict: Bool = false) -> ExitStatus {
    if findings.contains(where: { $0.status == .failed }) { return .configuration }
    return strict && findings.contains(where: { $0.status == .warning }) ? .refused : .done
  }

  /// All findings about this host, as root.
  static func findings(of tree: HostTree, _ services: [ServiceLogins]) -> [Finding] {
    let examination = HostExamination(tree: tree, account: nil)
    return examination.findings
      + EnrollmentCheck(settings: examination.settings, services: services).findingsOfAll()
  }

  private func findings(on tree: HostTree, _ services: [ServiceLogins]) throws -> [Finding] {
    guard common.user != nil || geteuid() != 0 else { return Self.findings(of: tree, services) }
    let subject = try Subject(user: common.user).account
    let account = TreeAccount.all(in: tree).first { $0.name == subject.nameText } ?? TreeAccount(subject)
    let examination = HostExamination(tree: tree, account: common.user == nil ? nil : account)
    return examination.findings
      + EnrollmentCheck(settings: examination.settings, services: services).findings(of: [subject.nameText])
  }

  /// Checks the host below `--root`.
  private func findings(in tree: HostTree, _ services: [ServiceLogins]) throws -> [Finding] {
    var accounts = TreeAccount.all(in: tree)
    let register = RegisterCheck(tree: tree)
    var findings: [Finding] = []
    if let user = common.user {
      accounts.removeAll { $0.name != user }
      guard !accounts.isEmpty else {
        throw SetupError(.noSuchAccount, "no such account in \(tree.root): \(user)")
      }
    } else {
      if let finding = register.finding(ofUsersOutside: accounts) { findings.append(finding) }
      let store = HostStoreCheck(tree: tree)
      accounts.removeAll { !$0.mayLogIn && !register.names($0) && !store.contains($0) }
    }
    let examination = HostExamination(tree: tree, account: common.user == nil ? nil : accounts.first)
    return examination.findings
      + TreeEnrollment(tree: tree, settings: examination.settings).findings(of: accounts, services: services)
      + findings
  }

  private func summary(_ findings: [Finding]) -> String {
    let failed = findings.count { $0.status == .failed }
    let warnings = findings.count { $0.status == .warning }
    if failed == 0, warnings == 0 { return "No problems found." }
    return "\(failed) failed, \(warnings) \(warnings == 1 ? "warning" : "warnings")."
  }
}

extension ServiceLogins {
  /// An element of `services` in the output of `--json`. The needs are null if they could not be evaluated.
  fileprivate var json: JSONValue {
    .object([
      ("service", .string(service)), ("enrolled", .optional(enrolled?.text)),
      ("unenrolled", .optional(unenrolled?.text)),
      ("single_field", problem == nil ? .bool(isSingleField) : .null),
    ])
  }
}

extension Finding {
  /// An element of `checks` in the output of `--json`.
  var json: JSONValue {
    .object([
      ("name", .string(name)), ("status", .string(status.rawValue)), ("detail", .string(detail)),
      ("remedy", .optional(remedy)),
    ])
  }

  /// Lines for people.
  var text: String {
    let margin = String(repeating: " ", count: 9)
    let label = status.rawValue + String(repeating: " ", count: margin.count - status.rawValue.count)
    var text = "\(label)\(name): \(detail.printable)\n"
    if let remedy {
      for line in remedy.split(separator: "\n") { text += "\(margin)  \(String(line).printable)\n" }
    }
    return text
  }
}
