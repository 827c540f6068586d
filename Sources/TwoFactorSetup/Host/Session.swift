import Enrollment
import FixedMemory

/// One run of a subcommand: whom it acts for, where it speaks, and what the host wants.
struct Session {
  let subject: Subject
  let terminal: Terminal
  let settings: HostSettings
  let store: EnrollmentStore
  let wantsJSON: Bool

  var account: UserAccount { subject.account }

  /// What follows a subcommand in a hint: the account, where root acts for it.
  var userOption: String { subject.isManagedByRoot ? " --user \(accountName)" : "" }

  /// The login name, fit to be shown.
  var accountName: String { account.nameText.printable }

  /// Finds out whom the command acts for, and takes that user's rights where root acts for somebody.
  ///
  /// - Throws: ``SetupError``.
  init(_ options: CommonOptions, subcommand: String) throws {
    try self.init(user: options.user, json: options.json, subcommand: subcommand)
  }

  /// Likewise, for an account whose name stands in a file.
  init(user: String?, json: Bool, subcommand: String) throws {
    wantsJSON = json
    terminal = Terminal(json: json)
    subject = try Subject(user: user)
    settings = try HostSettings.load()
    store = try EnrollmentStore(account: subject.account, settings: settings)
    if !wantsJSON, let reminder = subject.reminder(subcommand: subcommand) {
      try OutputStream.standardError.write(reminder)
    }
    // A directory outside the homes is root's, and stays root's to write.
    if subject.isManagedByRoot, store.isBelowHome { try Identity.become(subject.account) }
  }

  /// New backup codes; none where logins do not accept any.
  func newBackupCodes(count: Int) throws -> BackupCodes {
    try BackupCodes(count: settings.limits.acceptsBackupCodes ? count : 0)
  }

  /// Asks for the account's password where the host wants that; root who acts for somebody knows none.
  func checkPassword() throws {
    guard settings.requiresPassword, !subject.isManagedByRoot else { return }
    try PasswordCheck.run(for: account, at: terminal)
  }

  /// Asks for a code of the enrolment that is in force, and uses it up as a login would. One try; a wrong
  /// code counts.
  func checkCode() throws {
    guard !subject.isManagedByRoot else { return }
    let reply = try terminal.ask("Current code, or a backup code: ")
    if let left = try store.useUp(reply) { try show("\(left) backup codes left.\n") }
  }

  /// Throws where the account has nothing that could be changed.
  func requireEnrollment() throws {
    if case .absent = try store.standing() {
      throw SetupError(
        .refused, "two-factor is not on for \(accountName)", hint: "switch it on with: twofactor enable")
    }
  }

  /// Shows something to the person who runs the command.
  func show(_ text: String) throws { try terminal.page.write(text) }

  /// Hands the object of `--json` to the program that runs the command; it counts as handed over only when
  /// this returns.
  func report(_ object: JSONValue) throws {
    try OutputStream.standardOutput.write(object.text + "\n")
    try OutputStream.standardOutput.flush()
  }
}
