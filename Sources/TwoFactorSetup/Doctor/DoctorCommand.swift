import ArgumentParser
import Enrollment
import Glibc

/// `twofactor doctor`.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check this host, and say what to change.",
    discussion: """
      Looks at the module's file, at every PAM stack that names it, with what the stack includes, at the \
      configuration of sshd, at twofactor.conf, at the clock, and at the files of enrolments and their SELinux \
      labels: all of them as root, else your own. Nothing is changed. The exit status is 0, or 78 where something failed.
      """)

  @Option(
    help: ArgumentHelp("Look at another tree instead of this host, as an image or a chroot.", valueName: "dir"),
    completion: .directory)
  var root: String?

  @Flag(help: "Exit with status 1 where there are warnings.")
  var strict = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let findings = try examination().findings
    let output = OutputStream.standardOutput
    if common.json {
      try output.write(JSONValue.object([("checks", .array(findings.map(\.json)))]).text + "\n")
    } else {
      try output.write(findings.map(\.text).joined() + "\n" + summary(findings) + "\n")
    }
    try output.flush()
    if findings.contains(where: { $0.status == .failed }) { throw ExitCode(ExitStatus.configuration.rawValue) }
    if strict, findings.contains(where: { $0.status == .warning }) { throw ExitCode(ExitStatus.refused.rawValue) }
  }

  private func examination() throws -> HostExamination {
    let tree = try root.map { try HostTree(root: $0) } ?? HostTree()
    guard tree.isThisHost else { return try examination(of: tree) }
    if common.user != nil || geteuid() != 0 {
      let account = try Subject(user: common.user).account
      let name = account.nameText
      let entry = TreeAccount.all(in: tree).first { $0.name == name }
      return HostExamination(
        tree: tree,
        account: common.user == nil ? nil : entry ?? TreeAccount(account),
        names: [name])
    }
    return HostExamination(tree: tree, account: nil, names: UserDatabase.accountsWithLogin().map(\.nameText))
  }

  private func examination(of tree: HostTree) throws -> HostExamination {
    let accounts = TreeAccount.all(in: tree)
    guard let user = common.user else {
      return HostExamination(tree: tree, account: nil, names: accounts.filter(\.mayLogIn).map(\.name))
    }
    guard let account = accounts.first(where: { $0.name == user }) else {
      throw SetupError(.noSuchAccount, "no such account in \(tree.root): \(user)")
    }
    return HostExamination(tree: tree, account: account, names: [user])
  }

  private func summary(_ findings: [Finding]) -> String {
    let failed = findings.count { $0.status == .failed }
    let warnings = findings.count { $0.status == .warning }
    if failed == 0, warnings == 0 { return "Everything is as it should be." }
    return "\(failed) failed, \(warnings) \(warnings == 1 ? "warning" : "warnings")."
  }
}
