import ArgumentParser
import Enrollment

/// `twofactor status`.
struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show whether two-factor is on.",
    discussion: """
      Shows since when it is on, the devices, how many backup codes are left, when it was last used, and \
      whether codes are refused for a while because too many failed. No secret is shown and nothing is \
      asked. The exit status is 0 whether it is on or off.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "status")
    let now = SystemClock.now
    let status = try session.store.status(now: now)
    if session.wantsJSON {
      try session.report(status.json)
    } else {
      try session.show(status.text(now: now))
    }
  }
}
