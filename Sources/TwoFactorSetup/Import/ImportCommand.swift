import ArgumentParser
import Enrollment
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles

extension KeyFileFormat: ExpressibleByArgument {}

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Enable two-factor with the keys of another program.",
    discussion: """
      Reads the file .google_authenticator of google-authenticator, a users file of pam_oath, or otpauth:// \
      URIs, one on each line, and enrolls the account with the keys found: the app or token keeps working. Used \
      codes stay used, and eight-digit scratch codes keep working as backup codes. For a setting that \
      twofactor sets for the whole host, such as WINDOW_SIZE, it prints the line for twofactor.conf. The file is \
      not changed. The key is \
      shown only with --qr or --json.

      With --force, it also asks for a current code or a backup code of the enrollment that it replaces.

      Without a file, it reads standard input: first the answers to its questions, one on each line, then the \
      text to import, up to the end of input.

      For a whole users file, as root: twofactor import --all /etc/users.oath
      """)

  @Argument(help: "The file; standard input if omitted or -.", completion: .file())
  var file: String?

  @Option(help: ArgumentHelp("The format. (default: detected)", valueName: "format"))
  var from: KeyFileFormat?

  @Flag(help: "Import every account of a users file. Root only.")
  var all = false

  @Option(help: ArgumentHelp("The name of the device; further devices are numbered.", valueName: "name"))
  var name = "phone"

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Option(help: ArgumentHelp("The number of new backup codes, 0 to 32.", valueName: "n"))
  var backupCodes = 0

  @Option(
    help: ArgumentHelp("Write the new backup codes to a file instead of the screen.", valueName: "file"),
    completion: .file())
  var backupCodesFile: String?

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks for no code from the app.", visibility: .hidden))
  var noConfirm = false

  @Flag(help: "Answer yes/no questions with yes. Passwords and codes are still asked for.")
  var yes = false

  @Flag(help: "Replace an existing enrollment, and files that this command wrote.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws {
    try DeviceName.validate(name)
    try BackupCodes.validate(count: backupCodes)
    guard backupCodesFile == nil || backupCodes > 0 else {
      throw ValidationError("--backup-codes-file requires --backup-codes with a number.")
    }
    guard all else { return }
    guard common.user == nil else { throw ValidationError("--all and --user exclude each other.") }
    guard from ?? .oath == .oath else { throw ValidationError("--all requires a users file: --from oath.") }
    guard backupCodes == 0, key.qrFile == nil, key.chosenQR == nil else {
      throw ValidationError("--all shows no keys and makes no backup codes; import single accounts for that.")
    }
  }

  func run() throws {
    if all { return try ImportOfAll(options: self).run() }
    let early = try readBeforeIdentityChange()
    let session = try Session(common, subcommand: "import", changesRegister: true, reportsServices: true)
    let standing = try session.store.standing()
    try session.requireFree(standing, force: force)
    try KeptFiles.requireAbsent(key.qrFile, backupCodesFile, unless: force, for: session.account)
    let imported: ImportedEnrollment
    if let early {
      imported = try parse(early, session)
    } else if let path {
      imported = try parse(ImportSource.readFile(path, of: session.subject), session)
      try session.checkPassword()
      try session.checkCode(toReplace: standing)
    } else {
      try checkPasswordBeforeText(session)
      try session.checkCode(toReplace: standing)
      imported = try parse(ImportSource.readStandardInput(session.terminal), session)
    }
    // The app was in use before, so a code from the imported key would prove nothing.
    try ImportChange(session: session, options: self, imported: imported).make(over: standing)
  }

  /// Nil for standard input.
  var path: String? { file == "-" ? nil : file }

  var source: String { path?.printable ?? "standard input" }

  func unusable(_ problem: FormatProblem) -> SetupError {
    SetupError(.unusableData, "\(source): \(problem.text)", hint: problem.hint)
  }

  /// Reads root's file before the session assumes the identity of `--user`, who may lack permission.
  private func readBeforeIdentityChange() throws -> SecretBuffer? {
    guard let user = common.user, let path, getuid() == 0, geteuid() == 0 else { return nil }
    return try ImportSource.readRootFile(path, orOwnedBy: UserAccount.existing(named: user).entry.userID)
  }

  private func parse(_ text: borrowing SecretBuffer, _ session: Session) throws -> ImportedEnrollment {
    do throws(FormatProblem) {
      return try ImportedEnrollment(
        parsing: text.bytes, format: from, name: name, user: session.account.nameText,
        limits: session.settings.limits, now: SystemClock.now)
    } catch {
      throw unusable(error)
    }
  }

  private func checkPasswordBeforeText(_ session: Session) throws {
    do {
      try session.checkPassword()
    } catch let error as SetupError where error.status == .refused && !session.terminal.isInteractive {
      throw SetupError(
        error.status, error.message,
        hint: "the first line of standard input must be the password, followed by the text; or name the file: "
          + "twofactor import FILE")
    }
  }
}
