import Enrollment
import FixedMemory
import Glibc
import KeyFormats

/// `twofactor import` for one account. Nothing is asked after the text was read but whether new backup codes are
/// stored: the app was used before, and no code of it proves anything new.
struct ImportOfOne {
  let options: ImportCommand

  func run() throws {
    let early = try readBeforeRightsAreGivenUp()
    let session = try Session(options.common, subcommand: "import")
    let standing = try session.store.standing()
    try session.requireFree(standing, force: options.force)
    try KeptFiles.requireAbsent(
      options.key.qrFile, options.backupCodesFile, unless: options.force, for: session.account)
    let imported: ImportedEnrollment
    if let early {
      imported = try parse(early, session)
    } else if let path = options.path {
      imported = try parse(ImportSource.readFile(path, of: session.subject), session)
      try session.checkPassword()
    } else {
      try checkPasswordBeforeText(session)
      imported = try parse(ImportSource.readStandardInput(session.terminal), session)
    }
    try ImportChange(session: session, options: options, imported: imported).make(over: standing)
  }

  /// A users file is root's, and cannot be read with the rights of the account.
  private func readBeforeRightsAreGivenUp() throws -> SecretBuffer? {
    guard let user = options.common.user, let path = options.path, getuid() == 0, geteuid() == 0 else { return nil }
    return try ImportSource.readFileOfRoot(path, orOwnedBy: UserAccount.existing(named: user).userID)
  }

  private func parse(_ text: borrowing SecretBuffer, _ session: Session) throws -> ImportedEnrollment {
    do throws(FormatProblem) {
      return try ImportedEnrollment(
        parsing: text.bytes, format: options.from, user: session.account.nameText, limits: session.settings.limits,
        now: SystemClock.now)
    } catch {
      throw options.unusable(error)
    }
  }

  private func checkPasswordBeforeText(_ session: Session) throws {
    do {
      try session.checkPassword()
    } catch let error as SetupError where error.status == .refused && !session.terminal.isInteractive {
      throw SetupError(
        error.status, error.message,
        hint: "the first line of standard input is the password and the text follows; or name the file: "
          + "twofactor import FILE")
    }
  }
}
