import ArgumentParser
import Glibc
import HostAccess
import SystemFiles

struct UnlockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unlock",
    abstract: "End the throttling or lockout of an account. Root only.",
    discussion: """
      After several wrong codes in a row, codes from devices are refused for a while (throttling), and after 100 \
      until a backup code is used (lockout). This subcommand ends both for the account that --user names.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    guard getuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may unlock an account", hint: "a backup code at the next login unlocks it too")
    }
    let session = try Session(common, subcommand: "unlock", reportsServices: common.json)
    try session.requireEnrollment()
    try session.store.forgetFailures()
    if session.wantsJSON { return try session.reportStatus() }
    try session.show("\(session.accountName) is unlocked; codes are accepted again.\n")
  }
}
