import Enrollment
import FixedMemory

/// The steps of `twofactor enable`, in their order. Nothing is switched on before the last one, and whatever
/// ends the command before that, a signal included, takes back what was written.
struct Enabling {
  let session: Session
  let options: EnableCommand

  /// How often a code from the app may be tried.
  private static let tries = 3

  private var files: [KeptFile] = []

  init(session: Session, options: EnableCommand) {
    self.session = session
    self.options = options
  }

  mutating func run() throws {
    do {
      try switchOn()
      files.forEach { $0.keep() }
    } catch {
      files.forEach { $0.withdraw() }
      throw error
    }
    if !session.wantsJSON { try session.show(farewell) }
  }

  private mutating func switchOn() throws {
    let standing = try session.store.standing()
    try refuseUnlessAllowed(standing)
    try session.checkPassword()

    let now = Clock.now
    let draft = try NewDevice(options.device, session: session, now: now)
    let codes = try BackupCodes(count: options.backupCodes)
    try session.show(introduction(draft))
    try show(draft)
    if session.wantsJSON { try session.report(object(draft, codes)) }

    var credential = CredentialDraft(enabledAt: now, devices: [draft.device])
    let generation = try Generation.random()
    let state = try options.noConfirm ? LoginState(generation: generation) : confirm(credential, generation)
    try store(codes)
    credential.backupCodeHashes = try codes.hashes()
    try OutputStream.standardOutput.flush()
    try session.store.switchOn(credential, state: state, over: standing)
  }

  /// What is there already is replaced only where that was asked for.
  private func refuseUnlessAllowed(_ standing: EnrollmentStore.Standing) throws {
    if options.force { return }
    switch standing {
    case .absent: return
    case .enrolled:
      throw SetupError(
        .refused, "two-factor is on already for \(session.accountName)",
        hint: "for a new phone, replace the enrolment with: twofactor enable --force")
    case .unusable(let failure):
      throw SetupError(failure, directory: session.store.directory)
    }
  }

  private func introduction(_ device: NewDevice) -> String {
    guard !session.wantsJSON || !options.noConfirm else { return "" }
    return """
      Two-factor login for \(session.accountName)

      Scan the QR code with an app for one-time codes on your phone (Aegis, FreeOTP+,
      2FAS, Google Authenticator, ...), or type the key into it.

      Key: \(device.groupedKey) (\(device.description))
      URI: \(device.uri.text)


      """
  }

  private mutating func show(_ device: NewDevice) throws {
    let code = QRCode(device.uri.text)
    if let path = options.device.qrFile, let format = QRImage.Format(path: path) {
      guard let code else { throw SetupError(.unusableData, "the URI is too long for a QR code") }
      files.append(try KeptFile(path, contents: QRImage(code, format: format).bytes, force: options.force))
      try session.show("The QR code is in \(path.printable)\n\n")
    }
    guard !session.wantsJSON || !options.noConfirm else { return }
    let screen = session.terminal.qrScreen
    if let code, let drawing = QRDrawing(code, form: options.device.qr, on: screen) {
      try session.show(drawing.lines.joined(separator: "\n") + "\n")
    } else if options.device.qr != .none, screen.size != nil {
      try session.show("The QR code does not fit on this terminal: type the key, or make the window larger.\n\n")
    }
  }

  /// Asks for codes from the app until one is right.
  ///
  /// - Returns: The login state in which that code is used up.
  private func confirm(_ credential: CredentialDraft, _ generation: Generation) throws -> LoginState {
    let trial = try EnrollmentTrial(credential, generation: generation, limits: session.settings.limits)
    for _ in 0..<Self.tries {
      let reply = try session.terminal.ask("Code from the app: ")
      switch try trial.check(reply, now: Clock.now) {
      case .right(let state): return state
      case .wrong(let refusal): try session.show(refusal.line + "\n")
      }
    }
    throw SetupError(
      .refused, "no code was right, so nothing was switched on",
      hint: "the entry in the app is of no use any more; delete it and start again with: twofactor enable")
  }

  /// Hands the backup codes over and asks whether they are kept.
  private mutating func store(_ codes: BackupCodes) throws {
    guard !codes.codes.isEmpty else { return }
    if let path = options.backupCodesFile {
      let contents = codes.fileContents(account: session.account.nameText, issuer: session.issuer(options.device))
      files.append(try KeptFile(path, contents: Array(contents.utf8), force: options.force))
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

  private func object(_ device: NewDevice, _ codes: BackupCodes) -> JSONValue {
    .object([
      ("user", .string(session.account.nameText)),
      ("directory", .string(session.store.directory)),
      ("device", device.status.json),
      ("secret", .string(device.key)),
      ("uri", .string(device.uri.text)),
      ("backup_codes", .array(codes.codes.map(JSONValue.string))),
    ])
  }

  private var farewell: String {
    let name = session.subject.isManagedByRoot ? " --user \(session.accountName)" : ""
    return """

      Two-factor is on. The next login asks for a code after the password.
      To undo it: twofactor disable\(name)

      """
  }
}
