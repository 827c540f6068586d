import Enrollment
import FixedMemory
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
      shortURI: device.shortURI, shorterIssuers: Self.shorterIssuers(device), form: options.qr, file: options.qrFile)
  }

  /// The host name without its domain, then without its last words.
  private static func shorterIssuers(_ device: DeviceDraft) -> [(name: String, uri: String)] {
    var names = [String((device.issuer ?? "").prefix { $0 != "." })]
    while let last = names.last, let end = last.lastIndex(of: "-"), end > last.startIndex {
      names.append(String(last[..<end]))
    }
    names.append(String(names[0].prefix(8)))
    return names.filter { OTPAuthURI.isValidLabelPart($0) && $0 != device.issuer }.map { name in
      var shorter = device
      shorter.issuer = name
      return (name, shorter.shortURI)
    }
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

  /// Runs the steps between showing the key and the change. If the user gives up, the error says that the app has an
  /// entry to be deleted.
  func untilTheChange<Result>(_ steps: () throws -> Result) throws -> Result {
    if isKnown || session.terminal.dialogue != nil { return try steps() }
    do {
      return try steps()
    } catch var interruption as Interruption {
      interruption.hint = Self.deletion
      throw interruption
    } catch let error as SetupError where error.hint == nil && session.terminal.isInteractive {
      throw SetupError(error.status, error.message, hint: Self.deletion)
    }
  }

  static let deletion = "delete the new entry in the app"

  private func confirm() throws -> LoginState.DeviceState {
    let isInLogin = session.terminal.dialogue != nil
    let trial = try EnrollmentTrial(
      [device], limits: session.settings.limits, hint: { isInLogin ? $0.hintInLogin : $0.hint() },
      resync: isInLogin || !isKnown ? nil : { Invocation.text(ofDeviceCommand: "resync", $0, session.userOption) })
    let cover = isKnown ? nil : CoveringPage(page, on: session.terminal)
    defer { cover?.hide() }
    try session.terminal.requireAnswers()
    var question = try session.terminal.dialogue.map { try LoginCodeQuestion($0, device, page, session) }
    if question == nil, cover == nil { try show() }

    var refusal: CodeRefusal?
    for _ in 0..<Self.tries {
      if let refusal {
        if let cover { cover.notice = refusal.line } else { try session.show(refusal.line + "\n") }
      }
      switch try trial.check(ask(below: cover, &question), now: SystemClock.now) {
      case .right(_, let state): return state
      case .wrong(let why): refusal = why
      }
    }
    throw GivenUp(
      reason: SetupError(
        .refused, "no code was right, so nothing was changed; the last one: \(refusal?.message ?? "wrong code")",
        hint: (isKnown
          ? "check the key, the type, the digits and the counter of the device"
          : Self.deletion + " before you start again") + (refusal?.hint.map { "; \($0)" } ?? "")))
  }

  private func ask(below cover: CoveringPage?, _ inLogin: inout LoginCodeQuestion?) throws -> SecretBuffer {
    if let reply = try inLogin?.ask() { return reply }
    let question = isKnown ? "Code from the device: " : "Code from the app: "
    return if let cover { try cover.ask(question) } else { try session.terminal.ask(question) }
  }
}

/// Shows the key in a login, and asks for a code. The user can swap light and dark in the QR code, because the colors
/// of the terminal are unknown.
private struct LoginCodeQuestion {
  let dialogue: LoginDialogue
  let page: KeyPage
  let session: Session
  private let code: QRCode?
  private let canSwap: Bool
  private var isSwapped = false
  private var isRepeated = false

  /// Shows the key.
  init(_ dialogue: LoginDialogue, _ device: DeviceDraft, _ page: KeyPage, _ session: Session) throws {
    self.dialogue = dialogue
    self.page = page
    self.session = session
    code = dialogue.form == .plain ? nil : QRCode(device.uri)
    let drawing = code.flatMap { QRDrawing(forLogin: $0, isSwapped: false) }
    canSwap = drawing != nil
    for message in page.messages(drawing, form: dialogue.form) { try session.show(message) }
  }

  mutating func ask() throws -> SecretBuffer {
    // A greeter shows only the current question.
    if isRepeated, dialogue.form == .plain { try session.show(page.key) }
    isRepeated = true
    let question = "Code from the app\(canSwap ? " (or i to swap light and dark in the QR code)" : ""): "
    while true {
      let reply = try session.terminal.ask(question, echo: dialogue.echoesCode)
      guard asksToSwap(reply), let code, let drawing = QRDrawing(forLogin: code, isSwapped: !isSwapped) else {
        return reply
      }
      isSwapped.toggle()
      for message in page.swapped(drawing) { try session.show(message) }
    }
  }

  private func asksToSwap(_ reply: borrowing SecretBuffer) -> Bool {
    canSwap && reply.count == 1 && (reply.bytes[0] == UInt8(ascii: "i") || reply.bytes[0] == UInt8(ascii: "I"))
  }
}
