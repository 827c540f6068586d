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
  /// Whether the device has the key already: then it is not shown.
  let isKnown: Bool
  private let page: KeyPage

  /// How often a code from the app may be tried.
  private static let tries = 3

  /// A key to be handed over; the heading says in one line what it is.
  init(_ device: DeviceKey, heading: String, options: KeyOptions, session: Session, force: Bool, isKnown: Bool = false)
  {
    self.session = session
    self.device = device
    self.options = options
    self.force = force
    self.isKnown = isKnown
    page = KeyPage(
      heading: heading, groupedKey: device.groupedKey, kind: device.status.description, uriText: device.uri.text,
      form: options.qr, file: options.qrFile)
  }

  /// Writes the file that was asked for.
  ///
  /// - Throws: ``SetupError`` where it cannot be written.
  func writeFile(_ files: inout KeptFiles) throws {
    guard let path = options.qrFile, let format = QRImage.Format(path: path) else { return }
    guard QRCode.isAvailable else {
      throw SetupError(
        .configuration, "there is no libqrencode.so.4, which draws QR codes", hint: "install libqrencode (libqrencode4)"
      )
    }
    guard let code = QRCode(device.uri.text) else {
      throw SetupError(.unusableData, "the URI is too long for a QR code")
    }
    try files.write(path, contents: QRImage(code, format: format).bytes, force: force)
  }

  /// Writes the key out for a person, to stay where it is written.
  ///
  /// - Throws: ``SetupError`` where it cannot be written.
  func show() throws {
    if isKnown { return }
    try session.show(page.transcript(on: session.terminal.qrScreen))
  }

  /// Shows the key, and asks for codes from the app until one is right. The key does not stay on a screen that can
  /// be covered.
  ///
  /// - Parameter generation: The version of the credential that is to be made.
  /// - Returns: A login state of the device alone, in which that code is used up.
  /// - Throws: ``SetupError`` where none was right, ``Interruption``.
  func confirm(_ generation: Generation) throws -> LoginState {
    let draft = CredentialDraft(enabledAt: device.enabledAt, devices: [device.draft])
    let trial = try EnrollmentTrial(draft, generation: generation, limits: session.settings.limits)
    let cover = isKnown ? nil : CoveringPage(on: session.terminal, draw: page.lines)
    if cover == nil { try show() }
    defer { cover?.hide() }

    var refusal: CodeRefusal?
    for _ in 0..<Self.tries {
      if let refusal {
        if let cover { cover.notice = refusal.line } else { try session.show(refusal.line + "\n") }
      }
      let question = isKnown ? "Code from the device: " : "Code from the app: "
      let reply = if let cover { try cover.ask(question) } else { try session.terminal.ask(question) }
      switch try trial.check(reply, now: SystemClock.now) {
      case .right(let state): return state
      case .wrong(let why): refusal = why
      }
    }
    throw SetupError(
      .refused, "no code was right, so nothing was changed; the last one: \(refusal?.message ?? "wrong code")",
      hint: (isKnown
        ? "look at the key, and at the type, the digits and the counter of the device"
        : "delete the new entry in the app before you start again") + (refusal?.hint.map { "; \($0)" } ?? ""))
  }
}
