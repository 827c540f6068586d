import ArgumentParser
import Enrollment

struct EnableCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enable",
    abstract: "Enable two-factor login.",
    discussion: """
      Asks for your password, shows a QR code for the app on your phone, asks for a code from the app to \
      check that the app works, and shows backup codes for logins without the phone. Only then is two-factor \
      enabled: if you press Ctrl-C earlier, nothing changes. At the end it lists the logins that will ask for a code.

      With --force, it also asks for a current code or a backup code of the enrollment that it replaces. Without \
      one, ask the administrator to run: twofactor disable --user NAME

      Any app for one-time codes works: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager.

      For a token that already has a key: twofactor enable --type hotp --ask-key
      For provisioning, as root: twofactor enable --user NAME --no-confirm --yes --json
      """)

  @Option(help: ArgumentHelp("The name of the device.", valueName: "name"))
  var name = EnablingOptions.usualName

  @OptionGroup(title: "Code options")
  var code: CodeOptions

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Option(help: ArgumentHelp("The number of backup codes, 0 to 32.", valueName: "n"))
  var backupCodes = BackupCodes.defaultCount

  @Option(
    help: ArgumentHelp("Write the backup codes to a file instead of the screen.", valueName: "file"),
    completion: .file())
  var backupCodesFile: String?

  @Flag(help: "Do not ask for a code from the app (for provisioning).")
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
  }

  func run() throws {
    let session = try Session(common, subcommand: "enable", changesRegister: true, reportsServices: true)
    let standing = try session.store.standing()
    try session.requireFree(standing, force: force)
    try session.warnOfLateHome()
    try KeptFiles.requireAbsent(key.qrFile, backupCodesFile, unless: force, for: session.account)
    try session.checkPassword()
    try session.checkCode(toReplace: standing)
    // The last step enables two-factor; an earlier error or signal removes the files written so far.
    try KeptFiles.keeping(for: session.account) { files in
      try Enabling(session, enabling).run(over: standing, &files)
    }
    if !session.wantsJSON {
      try session.show("\n" + session.announcement + "To undo it: twofactor disable\(session.userOption)\n")
    }
    session.tell(.switchedOn)
  }

  private var enabling: EnablingOptions {
    EnablingOptions(
      name: name, code: code, key: key, backupCodes: backupCodes, backupCodesFile: backupCodesFile,
      confirms: !noConfirm, asks: !yes, force: force)
  }
}
