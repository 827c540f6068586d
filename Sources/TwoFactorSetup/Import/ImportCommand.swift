import ArgumentParser
import Enrollment
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import OneTimePassword
import SystemFiles

extension KeyFileFormat: ExpressibleByArgument {}

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Enable two-factor with the keys of another program.",
    discussion: """
      Reads otpauth:// URIs, also inside other text and in pictures of QR codes; the exports of Google Authenticator, \
      Aegis, 2FAS, andOTP, FreeOTP+ and Bitwarden; the file .google_authenticator; a users file of pam_oath; PSKC \
      files; and seed files of token vendors in CSV. It enrolls the account with the key: the app or token keeps \
      working. Used codes stay used, and eight-digit scratch codes keep working as backup codes. For a setting that \
      twofactor sets for the whole host, such as WINDOW_SIZE, it prints the line for twofactor.conf. The file is not \
      changed. The key is shown only with --qr or --json.

      If the text contains several accounts, it lists their issuers and names, and asks which one to import; \
      without a terminal, --select names it. Before two-factor is enabled, it asks for one code of the device.

      With --force, it also asks for a current code or a backup code of the enrollment that it replaces.

      Without a file, it reads standard input: first the answers to its questions, one on each line, then the \
      text to import, up to the end of input. At a terminal, an empty line ends the text.

      For your own account: twofactor import ~/.google_authenticator
      For all accounts of a file, as root:
        twofactor import --all /etc/users.oath
        twofactor import --all --from google-authenticator /home
        twofactor import --all --map accounts.csv tokens.pskc
      """)

  @Argument(help: "The file; standard input if omitted or -.", completion: .file())
  var file: String?

  @Option(help: ArgumentHelp("The format. (default: detected)", valueName: "format"))
  var from: KeyFileFormat?

  @Option(
    help: ArgumentHelp(
      "Import the account whose issuer, name or serial number contains the text, in any case.", valueName: "text"))
  var select: String?

  @OptionGroup(title: "Properties of the codes, if the file does not contain them")
  var defaults: ImportDefaults

  @Flag(help: "Import every account of the file, or of the directory of homes. Root only.")
  var all = false

  @Option(
    help: ArgumentHelp(
      "With --all: a file that assigns tokens to accounts by serial number, in lines SERIAL,ACCOUNT.",
      valueName: "file"), completion: .file())
  var map: String?

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

  @Flag(help: "Do not ask for a code of the device (for provisioning).")
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
    guard select != "" else { throw ValidationError("--select must not be empty.") }
    guard all else {
      guard map == nil else { throw ValidationError("--map requires --all.") }
      return
    }
    guard common.user == nil else { throw ValidationError("--all and --user exclude each other.") }
    guard select == nil else { throw ValidationError("--all and --select exclude each other.") }
    guard from.map(ImportOfAll.formats.contains) ?? true else {
      throw ValidationError(
        "--all is for --from \(ImportOfAll.formats.map(\.rawValue).joined(separator: ", ")).")
    }
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
    let confirms = !noConfirm && !session.subject.isManagedByRoot
    var imported: ImportedEnrollment
    var confirmation: ImportConfirmation?
    if let early {
      imported = try parse(early, session)
    } else if let path {
      imported = try parse(ImportSource.readFile(path, of: session.subject), session)
      try session.checkPassword()
      try session.checkCode(toReplace: standing)
      if confirms { confirmation = try ImportConfirmation(session, beforeText: false) }
    } else {
      try checkPasswordBeforeText(session)
      try session.checkCode(toReplace: standing)
      if confirms { confirmation = try ImportConfirmation(session, beforeText: !session.terminal.isInteractive) }
      imported = try parse(ImportSource.readStandardInput(session.terminal), session)
    }
    try confirmation.take()?.run(&imported)
    try ImportChange(session: session, options: self, imported: imported).make(over: standing)
  }

  /// Nil for standard input.
  var path: String? { file == "-" ? nil : file }

  var source: String { path?.printable ?? "standard input" }

  /// Reads root's file before the session assumes the identity of `--user`, who may lack permission.
  private func readBeforeIdentityChange() throws -> SecretBuffer? {
    guard let user = common.user, let path, getuid() == 0, geteuid() == 0 else { return nil }
    return try ImportSource.readRootFile(path, orOwnedBy: UserAccount.existing(named: user).entry.userID)
  }

  private func parse(_ text: borrowing SecretBuffer, _ session: Session) throws -> ImportedEnrollment {
    let now = SystemClock.now
    let keys = try keys(in: text, at: session.terminal, settings: session.settings, now: now)
    let entries = try keys.chosen(
      for: session.account.nameText, matching: select, name: name, at: session.terminal)
    do throws(FormatProblem) {
      return try ImportedEnrollment(
        entries, remarks: keys.remarks, name: name, limits: session.settings.limits, now: now)
    } catch {
      throw keys.unusable(error)
    }
  }

  /// The accounts of a file, or of a picture of QR codes. `now` is Unix time.
  func keys(
    in text: borrowing SecretBuffer, at terminal: Terminal, settings: HostSettings, now: Int64
  ) throws -> ImportedKeys {
    var reading = KeyFileReading(now: now)
    defaults.set(&reading)
    reading.unlock = { lock in try unlock(lock, at: terminal) }
    if PictureText.isPicture(text.bytes) {
      let codes = try PictureText.read(text.bytes, source: source)
      return try ImportedKeys(parsing: codes.bytes, from: source, format: nil, reading, limits: settings.limits)
    }
    func parsed(_ text: Span<UInt8>) throws -> ImportedKeys {
      let format = from ?? (defaults.columns == nil ? nil : .csv)
      let keys = try ImportedKeys(parsing: text, from: source, format: format, reading, limits: settings.limits)
      try defaults.requireUse(by: keys.format)
      return keys
    }
    guard let decoded = try decoded(text.bytes) else { return try parsed(text.bytes) }
    return try parsed(decoded.bytes)
  }

  private func decoded(_ text: Span<UInt8>) throws -> SecretBuffer? {
    do throws(FormatProblem) {
      return try ImportedText.decoded(text)
    } catch {
      throw SetupError(.unusableData, "\(source): \(error.text)", hint: error.hint)
    }
  }

  private func unlock(_ lock: KeyFileLock, at terminal: Terminal) throws -> SecretBuffer {
    guard path != nil || terminal.isInteractive else {
      throw SetupError(
        .unusableData, "\(source): the keys are encrypted, and standard input cannot also contain the answer",
        hint: "name the file: twofactor import FILE")
    }
    switch lock {
    case .presharedKey(let length, let name):
      let key = "\(8 * length)-bit key" + (name.map { " \($0.printable)" } ?? "")
      return try terminal.ask("\(key) of the file, in hexadecimal or Base64: ", echo: false)
    case .passphrase: return try terminal.ask("Passphrase of the file: ", echo: false)
    }
  }

  private func checkPasswordBeforeText(_ session: Session) throws {
    do {
      try session.checkPassword()
    } catch let error as SetupError
      where error.status == .refused && error.hint == nil && !session.terminal.isInteractive
    {
      throw SetupError(
        error.status, error.message,
        hint: "the first line of standard input must be the password, followed by the text; or name the file: "
          + "twofactor import FILE")
    }
  }
}

/// Properties of codes that seed files and users files may not contain.
struct ImportDefaults: ParsableArguments {
  @Option(help: ArgumentHelp("Time-based (totp) or counter-based (hotp) codes, for csv.", valueName: "type"))
  var type: CodeOptions.Kind?

  @Option(help: ArgumentHelp("The hash function, for csv.", valueName: "name"))
  var algorithm: CodeOptions.Algorithm?

  @Option(help: ArgumentHelp("The length of a code, 6 or 8, for csv and oath.", valueName: "n"))
  var digits: Int?

  @Option(help: ArgumentHelp("The length of a time step, for csv.", valueName: "seconds"))
  var period: Int64?

  @Option(
    help: ArgumentHelp(
      "The columns of a csv file without a header, separated by commas: "
        + CSVColumn.allCases.map(\.rawValue).joined(separator: ", ") + " (ignored).", valueName: "names"),
    transform: Self.columns)
  var columns: [CSVColumn]?

  mutating func validate() throws {
    guard digits.map({ $0 == 6 || $0 == 8 }) ?? true else { throw ValidationError("--digits must be 6 or 8.") }
    guard period.map(TimeStep.periods.contains) ?? true else {
      throw ValidationError(
        "--period must be \(TimeStep.periods.lowerBound) to \(TimeStep.periods.upperBound) seconds.")
    }
  }

  private static func columns(in text: String) throws -> [CSVColumn] {
    let columns = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
      let name = part.lowercased().filter { $0 != " " }
      guard let column = CSVColumn(rawValue: name) else {
        let known = CSVColumn.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("no such column: '\(name.printable)'; the columns are \(known).")
      }
      return column
    }
    let named = columns.filter { $0 != .other }
    guard named.count(where: \.isKey) == 1, Set(named).count == named.count else {
      throw ValidationError("name one key, and each column once.")
    }
    return columns
  }

  func set(_ reading: inout KeyFileReading) {
    reading.digits = digits.flatMap(UInt8.init(exactly:)).flatMap(CodeDigits.init)
    reading.period = period
    reading.algorithm = algorithm?.hashAlgorithm
    reading.isCounterBased = type.map { $0 == .hotp }
    reading.columns = columns
  }

  /// - Throws: A usage error if the format ignores a given option.
  func requireUse(by format: KeyFileFormat) throws {
    guard format != .csv else { return }
    let given = [
      ("--type", type != nil), ("--algorithm", algorithm != nil), ("--digits", digits != nil && format != .oath),
      ("--period", period != nil), ("--columns", columns != nil),
    ]
    guard let first = given.first(where: \.1)?.0 else { return }
    throw SetupError(
      .usage, "\(first) is not for \(format.title), which contains the properties of the codes",
      hint: "omit \(first), or name the format with --from")
  }
}
