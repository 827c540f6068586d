import ArgumentParser
import HostAccess
import SystemFiles

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
    let session = try Session(common, subcommand: "disable", changesRegister: true)
    if case .absent = try standing(session), session.register.isOfRoot, try session.register.remove() {
      return try reportReset(session)
    }
    try session.requireEnrollment()
    guard session.subject.isManagedByRoot || !session.settings.enforcesTwoFactor(now: SystemClock.now) else {
      throw SetupError(
        .notPermitted, "this host does not allow users to disable two-factor",
        hint: "for a new phone: twofactor enable --force; otherwise ask the administrator")
    }
    try session.checkPassword()
    try session.checkCode()
    // Remove the register entry first: if the command is then killed, the user stays enrolled, and the next accepted
    // login adds the entry again.
    try session.register.remove()
    do {
      try session.store.switchOff()
    } catch {
      session.register.add()
      throw error
    }
    // A login that was accepted in between has added the entry again.
    _ = try? session.register.remove()
    defer { session.tell(.switchedOff) }
    if session.wantsJSON {
      try session.report(session.store.status(now: SystemClock.now).json)
    } else {
      try session.show(
        "Two-factor is off. From now on the password alone is enough.\nTo undo it: twofactor enable\n")
    }
  }

  /// Root also resets an account whose home directory cannot be used. If an enrollment is there, it stays.
  private func standing(_ session: Session) throws -> EnrollmentStore.Standing {
    do {
      return try session.store.standing()
    } catch let error as SetupError where session.register.isOfRoot {
      guard try session.register.remove() else { throw error }
      throw SetupError(
        error.status, "\(error.message); the register no longer names \(session.accountName)", hint: error.hint)
    }
  }

  /// For a registered account without an enrollment, which was lost or belonged to an earlier account with this user
  /// ID.
  private func reportReset(_ session: Session) throws {
    defer { session.tell(.switchedOff) }
    if session.wantsJSON { return try session.report(session.store.status(now: SystemClock.now).json) }
    try session.show(
      """
      \(session.accountName) was registered as enrolled, but has no enrollment. The register no longer names \
      \(session.accountName).
      To enroll again: twofactor enable\(session.userOption)

      """)
  }
}
