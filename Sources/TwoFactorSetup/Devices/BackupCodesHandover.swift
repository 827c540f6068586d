/// How new backup codes get to the user before anything is switched on that they are good for.
struct BackupCodesHandover {
  let session: Session
  let codes: BackupCodes
  /// The file that they are written to instead of the screen; nil for none.
  let file: String?
  /// Who asks for them, as the file says it.
  let issuer: String
  /// Whether the file may take the place of one that is there.
  let force: Bool
  /// Whether the user is asked if they are stored.
  let asks: Bool
  /// The command that begins anew.
  let command: String

  /// Hands them over.
  ///
  /// - Parameter files: Where the file goes.
  /// - Throws: ``SetupError`` where they cannot be written, or are not stored.
  func run(_ files: inout KeptFiles) throws {
    guard !codes.codes.isEmpty else { return }
    if let file {
      let contents = codes.fileContents(account: session.account.nameText, issuer: issuer)
      try files.write(file, contents: Array(contents.utf8), force: force)
      try session.show("\nThe backup codes are in \(file.printable)\n")
    } else if !session.wantsJSON {
      try session.show("\n" + codes.page)
    }
    guard asks, !session.subject.isManagedByRoot else { return }
    guard try session.terminal.confirm("Have you stored the backup codes in a safe place?") else {
      throw SetupError(
        .refused, "the backup codes are not stored, so nothing was switched on", hint: "start again with: \(command)")
    }
  }
}
