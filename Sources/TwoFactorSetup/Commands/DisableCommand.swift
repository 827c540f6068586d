import ArgumentParser
import Enrollment
import HostAccess
import SystemFiles

struct DisableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable",
    abstract: "Disable two-factor login.",
    discussion: """
      Asks for your password and a code from the app or a backup code, then erases the keys and the backup \
      codes. It refuses if the host enforces two-factor (allow_disable or required_from in twofactor.conf), or \
      if a PAM stack would then refuse you (without nullok); root is only warned.

      Without phone and backup codes, ask the administrator to run: twofactor disable --user NAME
      """)

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks no yes/no question.", visibility: .hidden))
  var yes = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "disable", changesRegister: true, reportsServices: true)
    let standing = try standing(session)
    if case .absent = standing, session.register.isOfRoot, try session.register.remove() {
      return try reportReset(session)
    }
    if case .absent = standing { try session.requireEnrollment() }
    guard session.subject.isManagedByRoot || !session.settings.enforcesTwoFactor(now: SystemClock.now) else {
      throw SetupError.disablingForbidden
    }
    let services = session.services()
    try requireLogins(session, through: services)
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
      try session.reportStatus()
    } else {
      try session.show(farewell(session, services))
    }
  }

  /// Refuses if the user could then no longer log in through a service; warns root.
  private func requireLogins(_ session: Session, through services: UserServices) throws {
    let services = services.requiringEnrollment
    guard !services.isEmpty else { return }
    let problem =
      "without two-factor, these logins would refuse \(session.accountName): "
      + services.map(\.printable).joined(separator: ", ")
    guard session.subject.isManagedByRoot || session.account.userID == 0 else {
      throw SetupError(
        .notPermitted, problem,
        hint: "for a new phone, if you still have a code: twofactor enable --force; otherwise ask the administrator "
          + "to add nullok to these stacks, or to run: twofactor disable --user \(session.accountName)")
    }
    if !session.wantsJSON { try OutputStream.standardError.write("twofactor: \(problem)\n") }
  }

  private func farewell(_ session: Session, _ services: UserServices) -> String {
    "Two-factor is off.\n" + services.passwordAloneLine(columns: session.terminal.pageSize?.columns)
      + "Delete the entry in the app: its key is erased.\n"
      + "To enable two-factor again, with a new key: twofactor enable\(session.userOption)\n"
  }

  /// Root also resets an account whose home directory cannot be used. If an enrollment is there, it stays.
  private func standing(_ session: Session) throws -> EnrollmentStore.Standing {
    do {
      return try session.store.standing()
    } catch let error as SetupError
      where session.settings.isPostgreSQL && session.subject.isManagedByRoot && error.status == .configuration
    {
      // Its sealing key may be lost. After any other error of the configuration, the removal fails, too.
      return .unusable(EnrollmentFailure(.configuration, "credential", "cannot be opened"))
    } catch let error as SetupError
      where session.register.isOfRoot && !session.store.isOverridden && !session.settings.isPostgreSQL
    {
      guard try session.register.remove() else { throw error }
      throw SetupError(
        error.status, "\(error.message); the register no longer names \(session.accountName)", hint: error.hint)
    }
  }

  /// For a registered account without an enrollment, which was lost or belonged to an earlier account with this user
  /// ID.
  private func reportReset(_ session: Session) throws {
    defer { session.tell(.switchedOff) }
    if session.wantsJSON { return try session.reportStatus() }
    try session.show(
      """
      \(session.accountName) was registered as enrolled, but has no enrollment. The register no longer names \
      \(session.accountName).
      To enroll again: twofactor enable\(session.userOption)

      """)
  }
}

extension SetupError {
  static var disablingForbidden: SetupError {
    SetupError(
      .notPermitted, "this host does not allow users to disable two-factor",
      hint: "for a new phone, if you still have a code: twofactor enable --force; otherwise ask the administrator")
  }
}
