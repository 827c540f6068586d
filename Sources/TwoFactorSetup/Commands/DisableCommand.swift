import ArgumentParser
import HostAccess
import SystemFiles

/// `twofactor disable`.
struct DisableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable",
    abstract: "Disable two-factor login.",
    discussion: """
      Asks for your password and a code from the app or a backup code, then erases the keys and the backup \
      codes. From then on the password alone is enough. It refuses if the host \
      enforces two-factor (allow_disable or required_from in twofactor.conf).

      Without phone and backup codes, ask the administrator to run: twofactor disable --user NAME
      """)

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks no yes/no question.", visibility: .hidden))
  var yes = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "disable")
    try session.requireEnrollment()
    guard session.subject.isManagedByRoot || !session.settings.enforcesTwoFactor(now: SystemClock.now) else {
      throw SetupError(
        .notPermitted, "this host does not allow users to disable two-factor",
        hint: "for a new phone: twofactor enable --force; otherwise ask the administrator")
    }
    try session.checkPassword()
    try session.checkCode()
    try session.store.switchOff()
    defer { session.tell(.switchedOff) }
    if session.wantsJSON {
      try session.report(session.store.status(now: SystemClock.now).json)
    } else {
      try session.show(
        "Two-factor is off. From now on the password alone is enough.\nTo undo it: twofactor enable\n")
    }
  }
}
