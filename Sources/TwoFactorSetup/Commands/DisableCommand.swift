import ArgumentParser
import Enrollment

/// `twofactor disable`.
struct DisableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable",
    abstract: "Switch two-factor off.",
    discussion: """
      Asks for your password and for a code, from the app or a backup code, and then erases the keys and \
      the backup codes. From then on the password alone is enough. Where the host's policy enforces \
      two-factor, it refuses.

      Without phone and backup codes, ask root, who is asked nothing: twofactor disable --user NAME
      """)

  @Flag(help: ArgumentHelp("Accepted for scripts; there is no yes/no question here.", visibility: .hidden))
  var yes = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "disable")
    try session.requireEnrollment()
    guard session.subject.isManagedByRoot || !session.settings.enforcesTwoFactor(now: SystemClock.now) else {
      throw SetupError(
        .notPermitted, "this host does not allow its users to switch two-factor off",
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
