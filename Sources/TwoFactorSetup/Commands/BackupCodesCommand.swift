import ArgumentParser
import HostAccess

struct BackupCodesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup-codes",
    abstract: "Replace all backup codes.",
    discussion: """
      Asks for a code from the app or a backup code, and shows new backup codes. The old ones stop working as \
      soon as the new ones are stored.
      """)

  @Option(help: ArgumentHelp("The number of backup codes, 0 to 32.", valueName: "n"))
  var backupCodes = BackupCodes.defaultCount

  @Option(
    help: ArgumentHelp("Write the backup codes to a file instead of the screen.", valueName: "file"),
    completion: .file())
  var backupCodesFile: String?

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks no yes/no question.", visibility: .hidden))
  var yes = false

  @Flag(help: "Replace a file that this command wrote.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws { try BackupCodes.validate(count: backupCodes) }

  func run() throws {
    let session = try Session(common, subcommand: "backup-codes")
    guard session.settings.limits.acceptsBackupCodes else {
      throw SetupError(.refused, "this host accepts no backup codes")
    }
    try session.requireEnrollment()
    try KeptFiles.requireAbsent(backupCodesFile, unless: force, for: session.account)
    try session.checkCode()
    let codes = try BackupCodes(count: backupCodes)
    let hashes = try codes.hashes()
    try KeptFiles.keeping(for: session.account) { files in
      if let backupCodesFile {
        let contents = codes.fileContents(account: session.account.nameText, host: session.hostIssuer)
        try files.write(backupCodesFile, contents: Array(contents.utf8), force: force)
      }
      try handOver(codes, session: session)
      try files.checkForInterruption()
      try session.store.replaceBackupCodes(by: hashes)
    }
    defer { session.tell(.newBackupCodes) }
    if !session.wantsJSON {
      try session.show("The new backup codes are valid; the old ones no longer work.\n")
    }
  }

  private func handOver(_ codes: BackupCodes, session: Session) throws {
    if session.wantsJSON {
      try session.report(
        .object([
          ("user", .string(session.account.nameText)), ("backup_codes", .array(codes.codes.map(JSONValue.string))),
        ]))
    } else if let backupCodesFile {
      try session.show("The backup codes are in \(backupCodesFile.printable)\n")
    } else if !codes.codes.isEmpty {
      try session.show("\n" + codes.page(inOneColumn: session.terminal.hasOneColumn))
      try session.terminal.page.flush()
    }
  }
}
