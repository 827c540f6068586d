import ArgumentParser
import Enrollment
import Glibc

/// `twofactor test`.
struct TestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Run the PAM stack of a service at this terminal. Root only.",
    discussion: """
      Asks what a login through the service would ask, and says whether it would have gone through, so that \
      nobody has to log out to find out. The stack is the real one: a code is used up, a wrong one counts, and \
      what each module answered, and wrote to the log, is shown too. No session is opened. The exit status is 0 where the \
      login would have gone through, else 1.
      """)

  @Option(help: ArgumentHelp("The PAM service, such as sshd.", valueName: "name"))
  var service: String

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws {
    guard !service.isEmpty, !service.contains("/"), !service.hasPrefix("."), service.isOneLine(upTo: 128) else {
      throw ValidationError("--service is the name of a file in /etc/pam.d.")
    }
  }

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(.notPermitted, "only root may run the stack of a service", hint: "sudo twofactor test …")
    }
    let subject = try Subject(user: common.user)
    let terminal = Terminal(json: common.json)
    if !common.json, let reminder = subject.reminder(subcommand: "test --service \(service)") {
      try OutputStream.standardError.write(reminder)
    }
    let result = try ServiceTest(service: service, account: subject.account, terminal: terminal).run()
    if common.json {
      let object = JSONValue.object([
        ("user", .string(subject.account.nameText)), ("service", .string(service)),
        ("authenticated", .bool(result.isAuthenticated)), ("permitted", .bool(result.isPermitted)),
        ("message", .string(result.words)), ("modules", .array(result.answers.map(\.json))),
      ])
      try OutputStream.standardOutput.write(object.text + "\n")
    } else {
      try terminal.page.write(result.text)
    }
    if !result.isPermitted { throw ExitCode(ExitStatus.refused.rawValue) }
  }
}
