import Enrollment
import HostAccess
import KeyFormats
import SystemFiles
import Verification

/// Shows a key to the user, and asks for a code as proof that the app has it.
struct KeyPresentation {
  let session: Session
  let device: DeviceDraft
  let options: KeyOptions
  let force: Bool
  /// Whether the device already has the key, so that it need not be shown.
  let isKnown: Bool
  private let page: KeyPage

  private static let tries = 3

  init(
    _ device: DeviceDraft, heading: String, options: KeyOptions, session: Session, force: Bool, isKnown: Bool = false
  ) {
    self.session = session
    self.device = device
    self.options = options
    self.force = force
    self.isKnown = isKnown
    page = KeyPage(
      heading: heading, groupedKey: device.groupedKey, kind: DeviceStatus(device).description, uriText: device.uri,
      form: options.qr, file: options.qrFile)
  }

  func writeFile(_ files: inout KeptFiles) throws {
    guard let path = options.qrFile, let format = QRImage.Format(path: path) else { return }
    guard QRCode.isAvailable else {
      throw SetupError(
        .configuration, "libqrencode.so.4, which draws QR codes, is not installed",
        hint: "install libqrencode (libqrencode4)")
    }
    guard let code = QRCode(device.uri) else {
      throw SetupError(.unusableData, "the URI is too long for a QR code")
    }
    try files.write(path, contents: QRImage(code, format: format).bytes, force: force)
  }

  /// Prints the key, which stays on the screen.
  func show() throws {
    if isKnown { return }
    try session.show(page.transcript(on: session.terminal.qrScreen))
  }

  /// Shows the key and returns the first state of the device. With `confirming`, asks for a code, which counts as used.
  func handOver(confirming: Bool) throws -> LoginState.DeviceState {
    if confirming { return try confirm() }
    if !session.wantsJSON { try show() }
    return LoginState.DeviceState()
  }

  private func confirm() throws -> LoginState.DeviceState {
    let trial = try EnrollmentTrial(device, limits: session.settings.limits)
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
        ? "check the key, the type, the digits and the counter of the device"
        : "delete the new entry in the app before you start again") + (refusal?.hint.map { "; \($0)" } ?? ""))
  }
}
