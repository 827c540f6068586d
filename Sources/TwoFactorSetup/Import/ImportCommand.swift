import ArgumentParser
import Enrollment
import KeyFormats

extension KeyFileFormat: ExpressibleByArgument {}

/// `twofactor import`.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Switch two-factor on with the keys of another program.",
    discussion: """
      Reads the file .google_authenticator of google-authenticator, a users file of pam_oath, or otpauth:// \
      URIs, one a line, and enrols the account with what is in it: the app or the token goes on working as it \
      is. Codes that were used stay used, and eight-digit scratch codes go on working as backup codes. What \
      the file says that the host's policy decides here is named, with the line for twofactor.conf. The file \
      is left as it is. The key is shown only with --qr or --json.

      Without a file the text comes from standard input: first the answer to each question, one a line, then \
      the text up to its end.

      For a whole users file, as root: twofactor import --all /etc/users.oath
      """)

  @Argument(help: "The file; standard input where there is none, or for -.", completion: .file())
  var file: String?

  @Option(help: ArgumentHelp("The format. (default: whichever it is)", valueName: "format"))
  var from: KeyFileFormat?

  @Flag(help: "Import every account of a users file. Root only.")
  var all = false

  @Option(help: ArgumentHelp("What the device is called; more than one are numbered.", valueName: "name"))
  var name = "phone"

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Option(help: ArgumentHelp("How many new backup codes to make, 0 to 32.", valueName: "n"))
  var backupCodes = 0

  @Option(
    help: ArgumentHelp("Write the new backup codes to a file instead of the screen.", valueName: "file"),
    completion: .file())
  var backupCodesFile: String?

  @Flag(help: ArgumentHelp("Accepted for scripts; no code from the app is asked for here.", visibility: .hidden))
  var noConfirm = false

  @Flag(help: "Answer yes to the yes/no questions. A password is still asked for.")
  var yes = false

  @Flag(help: "Replace an enrolment, and files, that are there already.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws {
    try DeviceName.validate(name)
    guard BackupCodes.counts.contains(backupCodes) else { throw ValidationError("--backup-codes is 0 to 32.") }
    guard backupCodesFile == nil || backupCodes > 0 else {
      throw ValidationError("--backup-codes-file needs --backup-codes: how many to make.")
    }
    guard all else { return }
    guard common.user == nil else { throw ValidationError("--all is for every account, --user for one.") }
    guard from ?? .oath == .oath else { throw ValidationError("--all is for a users file: --from oath.") }
    guard backupCodes == 0, key.qrFile == nil, key.chosenQR == nil else {
      throw ValidationError("--all shows no keys and makes no backup codes: that is for each account.")
    }
  }

  func run() throws {
    if all {
      try ImportOfAll(options: self).run()
    } else {
      try ImportOfOne(options: self).run()
    }
  }

  /// What standard input is called as a file.
  var path: String? { file == "-" ? nil : file }

  /// Where the text comes from, for a person.
  var source: String { path?.printable ?? "standard input" }

  /// Says in an error where the text comes from that cannot be used.
  func unusable(_ problem: FormatProblem) -> SetupError {
    SetupError(.unusableData, "\(source): \(problem.text)", hint: problem.hint)
  }
}
