import Enrollment
import KeyFormats

/// Two-factor switched on for one account with what was imported.
struct ImportChange {
  let session: Session
  let options: ImportCommand
  let imported: ImportedEnrollment

  /// Makes the change, and says so.
  ///
  /// - Parameter standing: What there was before.
  /// - Throws: ``SetupError``, ``Interruption``; then everything is as it was.
  func make(over standing: EnrollmentStore.Standing) throws {
    try KeptFiles.keeping(for: session.account) { files in try switchOn(over: standing, &files) }
    if !session.wantsJSON { try session.show(farewell) }
    session.tell(.switchedOn)
  }

  /// Makes the change for a report that somebody else writes: nothing is shown, and there are no new backup codes.
  func makeSilently(over standing: EnrollmentStore.Standing) throws {
    let generation = try Generation.random()
    let draft = try draft(deviceKeys(), BackupCodes(count: 0))
    try session.store.switchOn(
      draft, state: state(generation), over: standing, scratchCodes: imported.scratchCodes)
    session.tell(.switchedOn)
  }

  private func switchOn(over standing: EnrollmentStore.Standing, _ files: inout KeptFiles) throws {
    let devices = try deviceKeys()
    try tellWhatIsImported(devices)
    let codes = try newBackupCodes()
    guard devices.count == 1 || options.key.qrFile == nil else {
      throw SetupError(.usage, "--qr-file is for one device, and there are \(devices.count)")
    }
    for device in devices where options.key.chosenQR != nil || options.key.qrFile != nil {
      let presentation = KeyPresentation(
        device, heading: device.parameters.name.printable, options: options.key, session: session,
        force: options.force)
      try presentation.writeFile(&files)
      if options.key.chosenQR != nil, !session.wantsJSON { try presentation.show() }
    }
    if session.wantsJSON { try session.report(json(devices, codes)) }
    let handover = BackupCodesHandover(
      session: session, codes: codes, file: options.backupCodesFile, issuer: session.issuer(options.key),
      force: options.force, asks: !options.yes, command: "twofactor import")
    try handover.run(&files)

    let generation = try Generation.random()
    let draft = try draft(devices, codes)
    try OutputStream.standardOutput.flush()
    try files.checkForInterruption()
    try session.store.switchOn(
      draft, state: state(generation), over: standing, scratchCodes: imported.scratchCodes)
  }

  private func deviceKeys() throws -> [DeviceKey] {
    try zip(imported.devices, imported.statuses(name: options.name)).map { device, status in
      guard DeviceName.isValid(status.parameters.name.utf8.span) else {
        throw SetupError(.usage, "--name is too long to be numbered")
      }
      var label = options.key
      label.issuer = label.issuer ?? device.issuer
      label.account = label.account ?? device.account
      return DeviceKey(status, key: device.key.base32, options: label, session: session)
    }
  }

  /// What is in use from the beginning: what logins used up elsewhere.
  private func state(_ generation: Generation) -> LoginState {
    var state = LoginState(generation: generation)
    for (index, device) in imported.devices.enumerated() {
      state[device: index].nextFactor = device.nextStep
      state[device: index].lastUsedAt = device.lastUsedAt
      state.lastUsedAt = max(state.lastUsedAt, device.lastUsedAt)
    }
    return state
  }

  private func newBackupCodes() throws -> BackupCodes {
    let room = Credential.maximumBackupCodes - imported.scratchCodes.count
    guard options.backupCodes <= room else {
      throw SetupError(
        .refused, "\(imported.scratchCodes.count) scratch codes are imported, so there is room for \(room) backup codes"
      )
    }
    return try session.newBackupCodes(count: options.backupCodes)
  }

  private func draft(_ devices: [DeviceKey], _ codes: BackupCodes) throws -> CredentialDraft {
    // All under one salt, so that a login hashes what was typed once.
    let hashes = try BackupCodes.hashes(of: imported.scratchCodes + codes.codes)
    var draft = CredentialDraft(enabledAt: imported.moment, devices: devices.map(\.draft))
    draft.scratchCodeHashes = Array(hashes.prefix(imported.scratchCodes.count))
    draft.backupCodeHashes = Array(hashes.dropFirst(imported.scratchCodes.count))
    return draft
  }

  private func json(_ devices: [DeviceKey], _ codes: BackupCodes) -> JSONValue {
    guard let first = devices.first,
      case .object(var members) = first.json(session, backupCodes: codes.codes.isEmpty ? nil : codes)
    else { return .null }
    if devices.count > 1 {
      let all = devices.map { device in
        JSONValue.object([
          ("device", device.status.json), ("secret", .string(device.key)), ("uri", .string(device.uri.text)),
        ])
      }
      members.append(("devices", .array(all)))
    }
    return .object(members)
  }

  /// A program has it all in the object, but for what only a person can do something about.
  private func tellWhatIsImported(_ devices: [DeviceKey]) throws {
    if session.wantsJSON {
      return try OutputStream.standardError.write(
        imported.remarks.map { "twofactor: \($0.line.printable)\n" }.joined())
    }
    var text = "From \(options.source), for \(session.accountName):\n"
    for device in devices {
      text += "  \(device.parameters.name.printable): \(device.status.description)\(counter(device))\n"
    }
    let count = imported.scratchCodes.count
    if count > 0 { text += "  \(count) backup code\(count == 1 ? "" : "s") of eight digits\n" }
    if count > 0, !session.settings.limits.acceptsBackupCodes {
      text += "  This host accepts no backup codes (backup_codes = no).\n"
    }
    try session.show(text + imported.remarks.flatMap(\.lines).map { $0.printable + "\n" }.joined())
  }

  private func counter(_ device: DeviceKey) -> String {
    guard case .hotp(let counter) = device.parameters.kind else { return "" }
    return ", the next counter is \(counter)"
  }

  private var farewell: String {
    var text = """

      Two-factor is on. The next login asks for a code after the password.
      To try one without using it up: twofactor verify\(session.userOption)
      To undo it: twofactor disable\(session.userOption)

      """
    if imported.scratchCodes.isEmpty, options.backupCodes == 0, session.settings.limits.acceptsBackupCodes {
      text += "There are no backup codes yet. Create some with: twofactor backup-codes\(session.userOption)\n"
    }
    if let path = options.path { text += "\(path.printable) still has the key; it is not needed any more.\n" }
    return text
  }
}
