import Enrollment

/// The steps of `twofactor enable`, in their order. Nothing is switched on before the last one, and whatever
/// ends the command before that, a signal included, takes back what was written.
struct Enabling {
  let session: Session
  let options: EnableCommand

  func run() throws {
    let standing = try session.store.standing()
    try session.requireFree(standing, force: options.force)
    try session.checkPassword()
    try KeptFiles.keeping(for: session.account) { files in try switchOn(over: standing, &files) }
    if !session.wantsJSON { try session.show(farewell) }
    session.tell(.switchedOn)
  }

  private func switchOn(over standing: EnrollmentStore.Standing, _ files: inout KeptFiles) throws {
    let now = SystemClock.now
    let device = try session.newDevice(named: options.name, options.code, options.key, now: now)
    let codes = try session.newBackupCodes(count: options.backupCodes)
    let presentation = KeyPresentation(
      device, heading: "Two-factor login for \(session.accountName)", options: options.key, session: session,
      force: options.force, isKnown: options.code.askKey)
    try presentation.writeFile(&files)
    // Before the question for a code, so that a program can answer it.
    if session.wantsJSON { try session.report(device.json(session, backupCodes: codes)) }

    let generation = try Generation.random()
    let state: LoginState
    if options.noConfirm {
      if !session.wantsJSON { try presentation.show() }
      state = LoginState(generation: generation)
    } else {
      state = try presentation.confirm(generation)
    }
    try handOver(codes, &files)
    let draft = CredentialDraft(enabledAt: now, devices: [device.draft], backupCodeHashes: try codes.hashes())
    try OutputStream.standardOutput.flush()
    try files.checkForInterruption()
    try session.store.switchOn(draft, state: state, over: standing)
  }

  /// Hands the backup codes over and asks whether they are kept.
  private func handOver(_ codes: BackupCodes, _ files: inout KeptFiles) throws {
    guard !codes.codes.isEmpty else { return }
    if let path = options.backupCodesFile {
      let contents = codes.fileContents(account: session.account.nameText, issuer: session.issuer(options.key))
      try files.write(path, contents: Array(contents.utf8), force: options.force)
      try session.show("\nThe backup codes are in \(path.printable)\n")
    } else if !session.wantsJSON {
      try session.show("\n" + codes.page)
    }
    guard !options.yes, !session.subject.isManagedByRoot else { return }
    guard try session.terminal.confirm("Have you stored the backup codes in a safe place?") else {
      throw SetupError(
        .refused, "the backup codes are not stored, so nothing was switched on",
        hint: "start again with: twofactor enable")
    }
  }

  private var farewell: String {
    """

    Two-factor is on. The next login asks for a code after the password.
    To undo it: twofactor disable\(session.userOption)

    """
  }
}
