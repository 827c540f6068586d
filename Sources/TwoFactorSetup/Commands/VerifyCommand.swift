import ArgumentParser

/// `twofactor verify`.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check a code without using it up.",
    discussion: """
      Asks for a code and says whether a login would accept it now, and if not, why: how far off a late or \
      early code is, whether it was used, whether codes are not looked at for a while. Nothing is counted \
      and nothing used up. The exit status is 1 where a login would refuse the code.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "verify")
    try session.requireEnrollment()
    let line = try session.terminal.ask("Code: ")
    let result = try session.store.examine(line)
    if session.wantsJSON {
      try session.report(result.json)
      if result.refusal != nil { throw ExitCode(ExitStatus.refused.rawValue) }
      return
    }
    if let refusal = result.refusal { throw refusal.error }
    try session.show(result.text + "\n")
  }
}
