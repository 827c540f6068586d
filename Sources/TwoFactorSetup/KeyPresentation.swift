import Enrollment
import Verification

/// How the key of a device gets into the app: by a QR code, by hand, or by a file; and the code that proves
/// it did.
struct KeyPresentation {
  let session: Session
  let device: DeviceKey
  let options: KeyOptions
  /// Whether a file that is there may be replaced.
  let force: Bool

  /// How often a code from the app may be tried.
  private static let tries = 3

  /// Writes the key out.
  ///
  /// - Parameters:
  ///   - heading: What it is, in one line.
  ///   - isForPerson: Whether a person is to see it; false where a program alone reads it.
  ///   - files: Where the file goes that was asked for.
  /// - Throws: ``SetupError`` where it cannot be written.
  func show(heading: String, isForPerson: Bool, _ files: inout KeptFiles) throws {
    if let path = options.qrFile, let format = QRImage.Format(path: path) {
      guard let code = QRCode(device.uri.text) else {
        throw SetupError(.unusableData, "the URI is too long for a QR code")
      }
      try files.write(path, contents: QRImage(code, format: format).bytes, force: force)
    }
    if isForPerson { try session.show(page(heading)) }
  }

  private func page(_ heading: String) -> String {
    var text = """
      \(heading)

      Scan the QR code with an app for one-time codes on your phone (Aegis, FreeOTP+,
      2FAS, Google Authenticator, ...), or type the key into it.

      Key: \(device.groupedKey) (\(device.status.description))
      URI: \(device.uri.text)


      """
    if let path = options.qrFile { text += "The QR code is in \(path.printable)\n\n" }
    let screen = session.terminal.qrScreen
    if let code = QRCode(device.uri.text), let drawing = QRDrawing(code, form: options.qr, on: screen) {
      text += drawing.lines.joined(separator: "\n") + "\n"
    } else if options.qr != .none, screen.size != nil {
      text += "The QR code does not fit on this terminal: type the key, or make the window larger.\n\n"
    }
    return text
  }

  /// Asks for codes from the app until one is right.
  ///
  /// - Parameter generation: The version of the credential that is to be made.
  /// - Returns: A login state of the device alone, in which that code is used up.
  /// - Throws: ``SetupError`` where none was right, ``Interruption``.
  func confirm(_ generation: Generation) throws -> LoginState {
    let draft = CredentialDraft(enabledAt: device.enabledAt, devices: [device.draft])
    let trial = try EnrollmentTrial(draft, generation: generation, limits: session.settings.limits)
    for _ in 0..<Self.tries {
      let reply = try session.terminal.ask("Code from the app: ")
      switch try trial.check(reply, now: SystemClock.now) {
      case .right(let state): return state
      case .wrong(let refusal): try session.show(refusal.line + "\n")
      }
    }
    throw SetupError(
      .refused, "no code was right, so nothing was changed",
      hint: "the new entry in the app is of no use any more; delete it and start again")
  }
}
