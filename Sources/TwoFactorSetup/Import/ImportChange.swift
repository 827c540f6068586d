import Enrollment
import HostAccess
import KeyFormats

struct ImportChange {
  let session: Session
  let options: ImportCommand
  let imported: ImportedEnrollment

  /// - Throws: ``SetupError`` or ``Interruption``, having changed nothing.
  func make(over standing: EnrollmentStore.Standing) throws {
    try KeptFiles.keeping(for: session.account) { files in try switchOn(over: standing, &files) }
    if !session.wantsJSON { try session.show(farewell) }
    session.tell(.switchedOn)
  }

  /// Enables two-factor without output and backup codes.
  func makeSilently(over standing: EnrollmentStore.Standing) throws {
    let draft = try draft(labeledDevices(), BackupCodes(count: 0), over: standing)
    try session.store.switchOn(draft, states: states, over: standing)
    session.register.add()
    session.tell(.switchedOn)
  }

  private func switchOn(over standing: EnrollmentStore.Standing, _ files: inout KeptFiles) throws {
    let devices = try labeledDevices()
    try summarize(devices)
    let codes = try newBackupCodes()
    guard devices.count == 1 || options.key.qrFile == nil else {
      throw SetupError(.usage, "--qr-file is for one device; the import has \(devices.count)")
    }
    for device in devices where options.key.chosenQR != nil || options.key.qrFile != nil {
      let presentation = KeyPresentation(
        device, heading: device.name.printable, options: options.key, session: session,
        force: options.force)
      try presentation.writeFile(&files)
      if options.key.chosenQR != nil, !session.wantsJSON { try presentation.show() }
    }
    if session.wantsJSON { try session.report(json(devices, codes)) }
    let handover = BackupCodesHandover(
      session: session, codes: codes, file: options.backupCodesFile, force: options.force, asks: !options.yes,
      hint: nil)
    try handover.run(&files)

    let draft = try draft(devices, codes, over: standing)
    try OutputStream.standardOutput.flush()
    try files.checkForInterruption()
    try session.store.switchOn(draft, states: states, over: standing)
    session.register.add()
  }

  private func labeledDevices() throws -> [DeviceDraft] {
    try imported.devices.map { device in
      guard DeviceName.isValid(device.name.utf8.span) else {
        throw SetupError(.usage, "--name is too long to add a number to it")
      }
      return session.labeled(device, options.key)
    }
  }

  /// Codes that were used elsewhere count as used.
  private var states: [LoginState.DeviceState] {
    imported.devices.map { LoginState.DeviceState(nextFactor: $0.nextStep, lastUsedAt: $0.lastUsedAt ?? 0) }
  }

  private func newBackupCodes() throws -> BackupCodes {
    let room = Credential.maximumBackupCodes - imported.scratchCodes.count
    guard options.backupCodes <= room else {
      throw SetupError(
        .refused,
        "with \(imported.scratchCodes.count) imported scratch codes, at most \(room) backup codes are possible")
    }
    return try session.newBackupCodes(count: options.backupCodes)
  }

  private func draft(
    _ devices: [DeviceDraft], _ codes: BackupCodes, over standing: EnrollmentStore.Standing
  ) throws -> CredentialDraft {
    // One salt: a login hashes the typed code once. That of the replaced enrollment: scratch codes that it used up are
    // recognized by their hashes.
    var setting = ""
    if case .enrolled = standing, !imported.scratchCodes.isEmpty {
      setting = try session.store.status(now: imported.moment).backupCodeSetting
    }
    let hashes = try BackupCodes.hashes(of: imported.scratchCodes + codes.codes, setting: setting)
    var draft = CredentialDraft(enabledAt: imported.moment, devices: devices)
    draft.scratchCodeHashes = Array(hashes.prefix(imported.scratchCodes.count))
    draft.backupCodeHashes = Array(hashes.dropFirst(imported.scratchCodes.count))
    return draft
  }

  private func json(_ devices: [DeviceDraft], _ codes: BackupCodes) -> JSONValue {
    guard let first = devices.first,
      case .object(var members) = session.json(of: first, backupCodes: codes.codes.isEmpty ? nil : codes)
    else { return .null }
    if devices.count > 1 {
      let all = devices.map { device in
        JSONValue.object([
          ("device", DeviceStatus(device).json), ("secret", .string(device.key.base32)), ("uri", .string(device.uri)),
        ])
      }
      members.append(("devices", .array(all)))
    }
    return .object(members)
  }

  /// Shows devices and remarks; with `--json` only the remarks, on standard error.
  private func summarize(_ devices: [DeviceDraft]) throws {
    if session.wantsJSON {
      return try OutputStream.standardError.write(
        imported.remarks.map { "twofactor: \($0.line.printable)\n" }.joined())
    }
    var text = "From \(options.source), for \(session.accountName):\n"
    for device in devices {
      text += "  \(device.name.printable): \(DeviceStatus(device).description)\(counter(device))\n"
    }
    let count = imported.scratchCodes.count
    if count > 0 { text += "  \(count) backup code\(count == 1 ? "" : "s") of eight digits\n" }
    if count > 0, !session.settings.limits.acceptsBackupCodes {
      text += "  This host accepts no backup codes (backup_codes = no).\n"
    }
    try session.show(text + imported.remarks.flatMap(\.lines).map { $0.printable + "\n" }.joined())
  }

  private func counter(_ device: DeviceDraft) -> String {
    guard case .hotp(let counter) = device.kind else { return "" }
    return ", the next counter is \(max(counter, device.nextStep))"
  }

  private var farewell: String {
    var text = "\n" + session.announcement
    text += """
      To try a code without using it up: twofactor verify\(session.userOption)
      To undo it: twofactor disable\(session.userOption)

      """
    if imported.scratchCodes.isEmpty, options.backupCodes == 0, session.settings.limits.acceptsBackupCodes {
      text += "There are no backup codes yet. Create some with: twofactor backup-codes\(session.userOption)\n"
    }
    if let path = options.path { text += "\(path.printable) still contains the key; it is no longer needed.\n" }
    return text
  }
}
