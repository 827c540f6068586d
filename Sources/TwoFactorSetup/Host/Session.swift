import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// A run of a subcommand: account, terminal, settings of the host.
struct Session {
  let subject: Subject
  let terminal: Terminal
  let settings: HostSettings
  let store: EnrollmentStore
  let register: RegisterEntry
  let wantsJSON: Bool
  /// For hints.
  let subcommand: String
  /// Evaluates the services of the host for the account.
  let services: () -> UserServices

  var account: UserAccount { subject.account }

  /// For hints; empty unless root gave `--user`.
  var userOption: String { store.userOption }

  var accountName: String { account.nameText.printable }

  /// Finds the account. If root gave `--user`, takes the identity of that account.
  /// `changesRegister` for a subcommand that changes ``register``, `reportsServices` for one that reports ``services``.
  init(
    _ options: CommonOptions, subcommand: String, changesRegister: Bool = false, reportsServices: Bool = false
  ) throws {
    try self.init(
      user: options.user, json: options.json, subcommand: subcommand, changesRegister: changesRegister,
      reportsServices: reportsServices)
  }

  /// The enrollment of the calling user during a login.
  init(login dialogue: LoginDialogue, settings: HostSettings) throws {
    wantsJSON = false
    subcommand = "enable"
    terminal = Terminal(login: dialogue)
    subject = try Subject(user: nil)
    self.settings = settings
    store = try EnrollmentStore(account: subject.account, settings: settings)
    register = try RegisterEntry(of: subject.account, settings, dropsPrivileges: false)
    let account = subject.account
    services = { UserServices(of: account) }
  }

  init(user: String?, json: Bool, subcommand: String, changesRegister: Bool, reportsServices: Bool = false) throws {
    wantsJSON = json
    self.subcommand = subcommand
    terminal = Terminal(json: json)
    subject = try Subject(user: user)
    settings = try HostSettings.load()
    var store = try EnrollmentStore(account: subject.account, settings: settings)
    if subject.isManagedByRoot { store.userOption = " --user \(subject.account.nameText.printable)" }
    self.store = store
    if !wantsJSON, let reminder = subject.reminder(subcommand: subcommand) {
      try OutputStream.standardError.write(reminder)
    }
    // Outside the homes, root owns and writes enrollments.
    let dropsPrivileges = subject.isManagedByRoot && store.isBelowHome
    register = try RegisterEntry(
      of: subject.account, settings, dropsPrivileges: dropsPrivileges && changesRegister)
    let account = subject.account
    if dropsPrivileges, reportsServices {
      // The account may not be allowed to read all services.
      let known = UserServices(of: account)
      services = { known }
    } else {
      services = { UserServices(of: account) }
    }
    if dropsPrivileges { try Identity.become(account) }
  }

  /// No codes if logins do not accept them. Fails now if libcrypt could not hash them later.
  func newBackupCodes(count: Int) throws -> BackupCodes {
    let codes = try BackupCodes(count: settings.limits.acceptsBackupCodes ? count : 0)
    if !codes.codes.isEmpty { try BackupCodes.requireHashing() }
    return codes
  }

  /// Asks for the password if the host requires it, but not if root gave `--user`.
  func checkPassword() throws {
    guard settings.requiresPassword, !subject.isManagedByRoot else { return }
    try PasswordCheck.run(for: account, at: terminal, subcommand: subcommand)
  }

  /// Asks for a code of the enrollment, and checks it as a login does.
  func checkCode() throws {
    guard !subject.isManagedByRoot else { return }
    let reply = try terminal.ask("Current code, or a backup code: ")
    if let left = try store.useUp(reply) { try show("\(left) backup codes left.\n") }
  }

  /// Asks for a code of the enrollment that `--force` replaces.
  func checkCode(toReplace standing: EnrollmentStore.Standing) throws {
    // Codes cannot be checked in an enrollment that logins reject, and the user may delete its files anyway.
    if case .enrolled = standing { try checkCode() }
  }

  func requireEnrollment() throws {
    if case .absent = try store.standing() {
      throw SetupError(
        .refused, "two-factor is not on for \(accountName)", hint: store.enrollmentHint(userOption))
    }
  }

  /// Shown after two-factor is enabled.
  var announcement: String {
    "Two-factor is on.\n" + services().announcement(for: accountName, columns: terminal.pageSize?.columns)
  }

  /// Reports the output of `status`, for other subcommands with `--json`.
  func reportStatus() throws { try report(store.status(now: SystemClock.now).json(services: services)) }

  func show(_ text: String) throws { try terminal.show(text) }

  /// Writes the output of `--json`, and flushes it.
  func report(_ object: JSONValue) throws {
    try OutputStream.standardOutput.write(object.text + "\n")
    try OutputStream.standardOutput.flush()
  }
}

struct Subject {
  let account: UserAccount

  /// Whether root gave `--user`. The command then asks for nothing that only the user knows.
  let isManagedByRoot: Bool

  /// The account with this name, or else the caller's.
  init(user name: String?) throws {
    guard let name else {
      account = try UserAccount.ofCaller()
      isManagedByRoot = false
      return
    }
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may use --user", hint: "without --user the command acts for your own account")
    }
    account = try UserAccount.existing(named: name)
    isManagedByRoot = true
  }

  /// Shown if root omits `--user`; nil for other users.
  func reminder(subcommand: String) -> String? {
    guard !isManagedByRoot, account.userID == 0 else { return nil }
    return "twofactor: acting for root\n"
      + "hint: for another account, as root: twofactor \(subcommand) --user NAME; for your own: without sudo\n"
  }
}

extension Session {
  /// Throws if no enrollment can be created, or one exists and `force` does not allow replacing it.
  func requireFree(_ standing: EnrollmentStore.Standing, force: Bool) throws {
    switch standing {
    // Fail before prompting.
    case .absent: try store.requirePlace()
    case _ where force: return
    case .enrolled:
      throw SetupError(
        .refused, "two-factor is already on for \(accountName)",
        hint: "for a new phone\(subject.isManagedByRoot ? "" : ", if you still have a code"): "
          + "twofactor device add NAME\(userOption), or replace the enrollment with --force")
    case .unusable(let failure): throw SetupError(failure, directory: store.directory)
    }
  }
}

extension Session {
  /// Warns if the home directory may only be mounted, or decrypted, after the code is checked. Not with `--json`: an
  /// error is then the only object on standard error.
  func warnOfLateHome() throws {
    guard store.isBelowHome, !wantsJSON else { return }
    let check = HomeCheck(tree: HostTree())
    guard let finding = check.finding(of: TreeAccount(account)) else { return }
    try terminal.remark(
      "twofactor: \(finding.detail.printable)\n" + (finding.remedy.map { "hint: \($0.printable)\n" } ?? ""))
  }
}
