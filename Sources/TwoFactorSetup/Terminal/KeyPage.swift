/// Shows the key of a device as a QR code, as a URI, and in groups to type.
struct KeyPage {
  let heading: String
  let groupedKey: String
  let kind: String
  let uriText: String
  let form: QRForm
  let file: String?

  private static let scan = "Scan the QR code with an app for one-time codes, or type the key into it."
  private static let type = "Type the key into an app for one-time codes."
  private static let apps = "Apps: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager."
  private static let doesNotFit =
    "The QR code does not fit on this terminal: type the key into an app, or make the window larger."

  private static let tooWide = "The QR code is too wide to be shown here: type the key into an app."

  /// In columns, beside a QR code.
  private static let narrowest = 24

  var key: String { "Key: \(groupedKey) (\(kind))" }
  private var uri: String { "URI: \(uriText)" }

  /// Without line breaks.
  func transcript(on screen: QRScreen) -> String {
    let drawing = QRCode(uriText).flatMap { QRDrawing($0, form: form, on: screen) }
    let isMissing = drawing == nil && form != .none && screen.size != nil && QRCode.isAvailable
    let text = intro(isDrawn: drawing != nil, isMissing: isMissing) + ["", key] + rest + [""]
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

  /// The page on the alternate screen, with one row left for the question; nil if it does not fit. The URI has no line
  /// breaks, so that a user can copy it whole.
  func lines(on screen: QRScreen, notice: String?) -> [String]? {
    guard let size = screen.size else { return nil }
    let layout = Layout(rows: size.rows - 1, columns: size.columns)
    if form != .none {
      guard let code = QRCode(uriText) else { return nil }
      if let lines = lines(with: code, on: screen, layout, notice) { return lines }
      guard form == .auto else { return nil }
    }
    let intro = intro(isDrawn: false, isMissing: form != .none)
    return layout.stacked(intro + ["", key] + rest, notice: notice)
  }

  private func lines(with code: QRCode, on screen: QRScreen, _ layout: Layout, _ notice: String?) -> [String]? {
    let intro = intro(isDrawn: true, isMissing: false)
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

  private func intro(isDrawn: Bool, isMissing: Bool) -> [String] {
    let instruction = isDrawn || file != nil ? Self.scan : isMissing ? Self.doesNotFit : Self.type
    return [heading, "", instruction, Self.apps]
  }

  private var rest: [String] { [uri] + (file.map { ["The QR code is in \($0.printable)"] } ?? []) }

  private struct Layout {
    let rows: Int
    let columns: Int

    /// Puts the text above the QR code; nil if it does not fit.
    func stacked(_ text: [String], drawing: QRDrawing? = nil, notice: String?) -> [String]? {
      guard drawing.map({ $0.columns <= columns }) ?? true else { return nil }
      let lines = broken(text) + [""] + (drawing?.lines ?? []) + (notice.map { broken([$0]) } ?? [])
      return height(lines) <= rows ? lines : nil
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
