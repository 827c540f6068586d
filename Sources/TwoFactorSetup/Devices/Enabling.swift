import HostAccess
import KeyFormats
import SystemFiles

/// Enables two-factor: hands over a key, checks a code from the device, hands over backup codes, writes the enrollment.
struct Enabling {
  let session: Session
  let options: EnablingOptions
  private let moment: Int64
  private let device: DeviceDraft
  private let codes: BackupCodes
  private let presentation: KeyPresentation

  /// Creates the key and the backup codes, or asks for an existing key.
  init(_ session: Session, _ options: EnablingOptions) throws {
    self.session = session
    self.options = options
    moment = SystemClock.now
    device = try session.newDevice(named: options.name, options.code, options.key, now: moment)
    codes = try session.newBackupCodes(count: options.backupCodes)
    presentation = KeyPresentation(
      device, heading: "Two-factor login for \(session.accountName)", options: options.key, session: session,
      force: options.force, isKnown: options.code.askKey)
  }

  /// - Throws: ``SetupError``, ``GivenUp``, ``Interruption`` or ``ConversationEnd`` before any change.
  func run(over standing: EnrollmentStore.Standing, _ files: inout KeptFiles) throws {
    try presentation.writeFile(&files)
    // Report before asking for a code, so that a program can compute it.
    if session.wantsJSON { try session.report(session.json(of: device, backupCodes: codes)) }
    let handover = BackupCodesHandover(
      session: session, codes: codes, file: options.backupCodesFile, force: options.force, asks: options.asks,
      hasOneColumn: options.key.qr == .none, hint: options.code.askKey ? nil : KeyPresentation.deletion)
    let (state, draft) = try presentation.untilTheChange {
      let state = try presentation.handOver(confirming: options.confirms)
      try handover.run(&files)
      let draft = CredentialDraft(enabledAt: moment, devices: [device], backupCodeHashes: try codes.hashes())
      try OutputStream.standardOutput.flush()
      try files.checkForInterruption()
      return (state, draft)
    }
    try session.terminal.requireUser()
    try session.store.switchOn(draft, states: [state], over: standing)
    session.register.add()
  }
}

struct EnablingOptions {
  /// Of the device.
  var name = Self.usualName
  var code: CodeOptions
  var key: KeyOptions
  var backupCodes = BackupCodes.defaultCount
  var backupCodesFile: String?
  /// Whether to ask for a code from the device.
  var confirms = true
  /// Whether to ask the user to confirm that the backup codes are stored.
  var asks = true
  var force = false

  static let usualName = "phone"
}
