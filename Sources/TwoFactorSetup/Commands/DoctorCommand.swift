import ArgumentParser
import Enrollment
import Glibc
import HostAccess
import HostDoctor

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
    let findings = try findings
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

  private var findings: [Finding] {
    get throws {
      guard let root else { return try findingsOfThisHost }
      return try findings(in: HostTree(root: root))
    }
  }

  private var findingsOfThisHost: [Finding] {
    get throws {
      let tree = HostTree()
      var account: TreeAccount?
      let names: [String]
      if common.user != nil || geteuid() != 0 {
        let subject = try Subject(user: common.user).account
        names = [subject.nameText]
        if common.user != nil {
          account = TreeAccount.all(in: tree).first { $0.name == subject.nameText } ?? TreeAccount(subject)
        }
      } else {
        names = UserAccount.allWithLogin().map(\.nameText)
      }
      let examination = HostExamination(tree: tree, account: account)
      return examination.findings + EnrollmentCheck(settings: examination.settings).findings(of: names)
    }
  }

  private func findings(in tree: HostTree) throws -> [Finding] {
    if tree.isThisHost { return try findingsOfThisHost }
    var accounts = TreeAccount.all(in: tree)
    if let user = common.user {
      accounts.removeAll { $0.name != user }
      guard !accounts.isEmpty else {
        throw SetupError(.noSuchAccount, "no such account in \(tree.root): \(user)")
      }
    } else {
      accounts.removeAll { !$0.mayLogIn }
    }
    let examination = HostExamination(tree: tree, account: common.user == nil ? nil : accounts.first)
    return examination.findings
      + TreeEnrollment(tree: tree, settings: examination.settings).findings(of: accounts)
  }

  private func summary(_ findings: [Finding]) -> String {
    let failed = findings.count { $0.status == .failed }
    let warnings = findings.count { $0.status == .warning }
    if failed == 0, warnings == 0 { return "Everything is as it should be." }
    return "\(failed) failed, \(warnings) \(warnings == 1 ? "warning" : "warnings")."
  }
}

extension Finding {
  /// The object of `--json`.
  var json: JSONValue {
    .object([
      ("name", .string(name)), ("status", .string(status.rawValue)), ("detail", .string(detail)),
      ("remedy", .optional(remedy)),
    ])
  }

  /// The lines for a person.
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
