import ArgumentParser
import Glibc
import HostAccess

struct TestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Run the PAM stack of a service at this terminal. Root only.",
    discussion: """
      Asks for everything that a login through the service asks for, and says whether the login would succeed. The \
      stack is the real one: a code is used up, and a wrong one counts as a failure. The output shows the \
      return value and the log messages of each module too. No session is opened. The exit status is 0 if the login would succeed, else 1.
      """)

  @Option(help: ArgumentHelp("The PAM service, such as sshd.", valueName: "name"), completion: .services)
  var service: String

  @Flag(
    help: """
      Ask for password and code first, and send them as one reply to every prompt, as programs with a single \
      password field do.
      """)
  var singleField = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws {
    guard !service.isEmpty, !service.contains("/"), !service.hasPrefix("."), service.isOneLine(upTo: 128) else {
      throw ValidationError("--service is the name of a file in /etc/pam.d.")
    }
  }

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may run the stack of a service", hint: "sudo twofactor test --service \(service)")
    }
    let subject = try Subject(user: common.user)
    let terminal = Terminal(json: common.json)
    if !common.json, let reminder = subject.reminder(subcommand: "test --service \(service)") {
      try OutputStream.standardError.write(reminder)
    }
    let result = try ServiceTest(
      service: service, account: subject.account, terminal: terminal, isSingleField: singleField
    ).run()
    if common.json {
      let object = JSONValue.object([
        ("user", .string(subject.account.nameText)), ("service", .string(service)),
        ("authenticated", .bool(result.isAuthenticated)), ("permitted", .bool(result.isPermitted)),
        ("message", .string(result.words)), ("modules", .array(result.answers.map(\.json))),
      ])
      try OutputStream.standardOutput.write(object.text + "\n")
    } else {
      try terminal.page.write(result.text(on: terminal))
    }
    if !result.isPermitted { throw ExitCode(ExitStatus.refused.rawValue) }
  }
}
