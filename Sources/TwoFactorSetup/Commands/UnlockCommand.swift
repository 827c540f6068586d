import ArgumentParser
import Enrollment
import Glibc

/// `twofactor unlock`.
struct UnlockCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unlock",
    abstract: "Forget the failed codes of an account. Root only.",
    discussion: """
      After too many failed codes no more are looked at for a while, and after a hundred none at all until a \
      backup code is used. This ends that for the account that --user names.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    guard getuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may unlock an account", hint: "a backup code unlocks it too, at the next login")
    }
    let session = try Session(common, subcommand: "unlock")
    try session.requireEnrollment()
    try session.store.forgetFailures()
    if session.wantsJSON { return try session.report(session.store.status(now: SystemClock.now).json) }
    try session.show("Codes of \(session.accountName) are looked at again.\n")
  }
}
