import ArgumentParser
import Enrollment

/// `twofactor enable`.
struct EnableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enable",
    abstract: "Switch two-factor on.",
    discussion: """
      Asks for your password, shows a QR code for the app on your phone, asks for a code from the app to \
      prove that it works, and gives you backup codes for the day when the phone is not at hand. Only then \
      is two-factor switched on: stopping at any point before, as with Ctrl-C, leaves everything as it \
      was.

      Any app for one-time codes will do: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager.

      For a token that has its key already: twofactor enable --type hotp --ask-key
      For provisioning, as root: twofactor enable --user NAME --no-confirm --yes --json
      """)

  @Option(help: ArgumentHelp("What the device is called.", valueName: "name"))
  var name = "phone"

  @OptionGroup(title: "Code options")
  var code: CodeOptions

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Option(help: ArgumentHelp("How many backup codes to make, 0 to 32.", valueName: "n"))
  var backupCodes = BackupCodes.defaultCount

  @Option(
    help: ArgumentHelp("Write the backup codes to a file instead of the screen.", valueName: "file"),
    completion: .file())
  var backupCodesFile: String?

  @Flag(help: "Do not ask for a code from the app, for provisioning.")
  var noConfirm = false

  @Flag(help: "Answer yes to the yes/no questions. A password or a code is still asked for.")
  var yes = false

  @Flag(help: "Replace an enrolment, and files, that are there already.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws {
    try DeviceName.validate(name)
    guard BackupCodes.counts.contains(backupCodes) else {
      throw ValidationError("--backup-codes is 0 to 32.")
    }
  }

  func run() throws {
    let session = try Session(common, subcommand: "enable")
    try Enabling(session: session, options: self).run()
  }
}
