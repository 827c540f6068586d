/// Shows the key of a device as a QR code, as a URI, and in groups to type.
struct KeyPage {
  let heading: String
  let groupedKey: String
  let kind: String
  let uriText: String
  /// The URI for a QR code that would otherwise not fit.
  let shortURI: String
  /// A shorter issuer and the URI with it, longest first: for the hint if no QR code fits.
  var shorterIssuers: [(name: String, uri: String)] = []
  let form: QRForm
  let file: String?
  /// Of this command, for the hint.
  var arguments = Invocation.arguments

  /// A view of the page on a covering page. If there is too little room, it shows the QR code or the text, and Enter
  /// turns to the other one.
  struct View {
    enum Side {
      case code
      case text
    }

    let lines: [String]
    /// Nil if the view shows all.
    var side: Side?
    /// Whether the row below the lines is free for the question.
    var hasQuestion = true
  }

  private static let scan = "Scan the QR code with an app for one-time codes, or type the key into it."
  private static let type = "Type the key into an app for one-time codes."
  private static let apps = "Apps: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager."
  private static let tooWide = "The QR code is too wide to be shown here: type the key into an app."
  private static let turnToText = "Press Enter to see the key."
  private static let turnToCode = "Press Enter to see the QR code."
  private static let turnToCodeAlone = "Press Enter to see the QR code, and Enter again to come back."

  /// In columns, beside a QR code.
  private static let narrowest = 24

  var key: String { "Key: \(groupedKey) (\(kind))" }
  private var uri: String { "URI: \(uriText)" }

  /// The URIs to draw: a shorter one only if it is needed.
  private var uris: [String] { uriText == shortURI ? [uriText] : [uriText, shortURI] }

  /// Without line breaks.
  func transcript(on screen: QRScreen) -> String {
    let drawing = uris.lazy.compactMap { QRCode($0).flatMap { QRDrawing($0, form: form, on: screen) } }.first
    let isMissing = drawing == nil && form != .none && screen.size != nil && QRCode.isAvailable
    let text = intro(isDrawn: drawing != nil, isMissingOn: isMissing ? screen : nil) + ["", key] + rest + [""]
    return (text + (drawing?.lines ?? [])).joined(separator: "\n") + "\n"
  }

  /// The messages of a login. The QR code is not first, because sshd may send a prompt before it. The key is last,
  /// because a greeter may show only the last message.
  func messages(_ drawing: QRDrawing?, form: LoginDialogue.Form) -> [String] {
    let isTooWide = form != .plain && drawing == nil && QRCode.isAvailable
    let instruction = drawing != nil ? Self.scan : isTooWide ? Self.tooWide : Self.type
    let code = drawing.map { [$0.lines.joined(separator: "\n")] } ?? []
    let uri = form == .plain || uri.utf8.count > LoginDialogue.longestText ? [] : [uri]
    return [instruction + "\n" + Self.apps] + code + uri + [key]
  }

  /// The messages after the user swapped light and dark.
  func swapped(_ drawing: QRDrawing) -> [String] {
    ["The QR code with light and dark swapped:", drawing.lines.joined(separator: "\n"), key]
  }

  /// The page on the alternate screen; nil if it does not fit. The URI has no line breaks, so that a user can copy it
  /// whole. `side` is the side to show, if there are two; nil for the first one.
  func view(on screen: QRScreen, notice: String?, side: View.Side?) -> View? {
    guard let size = screen.size else { return nil }
    let layout = Layout(rows: size.rows - 1, columns: size.columns)
    if form != .none {
      let codes = uris.compactMap { QRCode($0) }
      guard !codes.isEmpty else { return nil }
      for code in codes {
        if let lines = lines(with: code, on: screen, layout, notice) { return View(lines: lines) }
      }
      if let view = turningView(codes, on: screen, layout, notice, side) { return view }
      guard form == .auto else { return nil }
    }
    return layout.stacked(
      intro(isDrawn: false, isMissingOn: form != .none ? screen : nil) + ["", key] + rest, notice: notice
    ).map { View(lines: $0) }
  }

  private func lines(with code: QRCode, on screen: QRScreen, _ layout: Layout, _ notice: String?) -> [String]? {
    let intro = intro(isDrawn: true)
    var lines: [String]?
    _ = QRDrawing.largest(of: code, form: form, on: screen) { drawing in
      lines =
        layout.stacked(intro + ["", key] + rest, drawing: drawing, notice: notice)
        ?? layout.beside(drawing, intro + ["", key], below: rest, notice: notice)
      return lines != nil
    }
    if lines != nil { return lines }
    _ = QRDrawing.largest(of: code, form: form, on: screen) { drawing in
      lines = layout.beside(drawing, intro + ["", key] + rest, below: [], notice: notice)
      return lines != nil
    }
    return lines
  }

  /// The QR code and the text on two sides: with the question below the QR code, or else the QR code alone.
  private func turningView(
    _ codes: [QRCode], on screen: QRScreen, _ layout: Layout, _ notice: String?, _ side: View.Side?
  ) -> View? {
    func text(_ turn: String) -> View? {
      layout.stacked(intro(isDrawn: true) + [turn, "", key] + rest, notice: notice).map { View(lines: $0, side: .text) }
    }
    func largest(where fits: (QRDrawing) -> Bool) -> QRDrawing? {
      for code in codes {
        if let drawing = QRDrawing.largest(of: code, form: form, on: screen, where: fits) { return drawing }
      }
      return nil
    }
    if let drawing = largest(where: { layout.above([Self.turnToText], $0, notice: nil) != nil }) {
      guard side != .text, let lines = layout.above([Self.turnToText], drawing, notice: notice) else {
        return text(Self.turnToCode)
      }
      return View(lines: lines, side: .code)
    }
    let alone = largest { $0.lines.count <= layout.rows + 1 && $0.columns <= layout.columns }
    guard let alone else { return nil }
    return side == .code ? View(lines: alone.lines, side: .code, hasQuestion: false) : text(Self.turnToCodeAlone)
  }

  private func intro(isDrawn: Bool, isMissingOn screen: QRScreen? = nil) -> [String] {
    let instruction = isDrawn || file != nil ? [Self.scan] : screen.map(missing) ?? [Self.type]
    return [heading, ""] + instruction + [Self.apps]
  }

  private var rest: [String] { [uri] + (file.map { ["The QR code is in \($0.printable)"] } ?? []) }

  /// Why there is no QR code, and the shortest way to one.
  private func missing(on screen: QRScreen) -> [String] {
    var text = "The QR code does not fit on this terminal: type the key into an app, or make the window larger."
    if let needed = QRCode(shortURI).flatMap({ QRDrawing.smallest(of: $0, form: form, on: screen) }) {
      // With the row to turn the page and the row of the question.
      text += " \(needed.columns) columns and \(needed.lines.count + 2) rows are enough."
    }
    let shorter = shorterIssuers.first { issuer in
      guard let code = QRCode(issuer.uri) else { return false }
      return hasRoom(for: code, on: screen)
    }
    let option = shorter.map { ["--issuer", $0.name] } ?? ["--qr-file", "code.png"]
    return [text, "For a QR code, start again with: \(Invocation.text(with: option, of: arguments))"]
  }

  private func hasRoom(for code: QRCode, on screen: QRScreen) -> Bool {
    guard let size = screen.size else { return false }
    guard screen.hasCursorControl else { return QRDrawing(code, form: form, on: screen) != nil }
    let drawing = QRDrawing.smallest(of: code, form: form, on: screen)
    return drawing.map { $0.lines.count <= size.rows && $0.columns <= size.columns } ?? false
  }

  private struct Layout {
    /// Without the row of the question.
    let rows: Int
    let columns: Int

    /// Puts the text above the QR code; nil if it does not fit.
    func stacked(_ text: [String], drawing: QRDrawing? = nil, notice: String?) -> [String]? {
      guard drawing.map({ $0.columns <= columns }) ?? true else { return nil }
      let lines = broken(text) + (drawing.map { [""] + $0.lines } ?? []) + (notice.map { broken([$0]) } ?? [])
      return height(lines) <= rows ? lines : nil
    }

    /// Puts the QR code above the text; nil if it does not fit.
    func above(_ text: [String], _ drawing: QRDrawing, notice: String?) -> [String]? {
      let lines = drawing.lines + broken((notice.map { [$0] } ?? []) + text)
      return drawing.columns <= columns && lines.count <= rows ? lines : nil
    }

    /// Puts the text to the right of the QR code; nil if it does not fit.
    func beside(_ drawing: QRDrawing, _ text: [String], below: [String], notice: String?) -> [String]? {
      let width = columns - drawing.columns - 2
      guard width >= KeyPage.narrowest else { return nil }
      let right = (notice.map { text + ["", $0] } ?? text).flatMap { PageText.wrapped($0, columns: width) }
      guard right.count <= drawing.lines.count else { return nil }
      let beside = drawing.lines.enumerated().map { row, line in
        row < right.count && !right[row].isEmpty ? line + "  " + right[row] : line
      }
      let lines = beside + broken(below)
      return height(lines) <= rows ? lines : nil
    }

    private func broken(_ text: [String]) -> [String] {
      text.flatMap { line in
        line.hasPrefix("URI: ") ? [line] : PageText.wrapped(line, columns: columns)
      }
    }

    /// In rows, after the terminal broke the URI.
    private func height(_ lines: [String]) -> Int {
      lines.reduce(0) { $0 + ($1.hasPrefix("URI: ") ? PageText.rows(of: $1, columns: columns) : 1) }
    }
  }
}
