import Enrollment

/// The steps of `twofactor enable`, in their order. Nothing is switched on before the last one, and whatever
/// ends the command before that, a signal included, takes back what was written.
struct Enabling {
  let session: Session
  let options: EnableCommand

  func run() throws {
    let standing = try session.store.standing()
    try session.requireFree(standing, force: options.force)
    try KeptFiles.requireAbsent(
      options.key.qrFile, options.backupCodesFile, unless: options.force, for: session.account)
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
    let handover = BackupCodesHandover(
      session: session, codes: codes, file: options.backupCodesFile, issuer: session.issuer(options.key),
      force: options.force, asks: !options.yes, command: "twofactor enable")
    try handover.run(&files)
    let draft = CredentialDraft(enabledAt: now, devices: [device.draft], backupCodeHashes: try codes.hashes())
    try OutputStream.standardOutput.flush()
    try files.checkForInterruption()
    try session.store.switchOn(draft, state: state, over: standing)
  }

  private var farewell: String {
    """

    Two-factor is on. The next login asks for a code after the password.
    To undo it: twofactor disable\(session.userOption)

    """
  }
}
