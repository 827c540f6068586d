import ArgumentParser

/// The characters of a drawn QR code (`--qr`).
enum QRForm: String, CaseIterable, ExpressibleByArgument {
  case auto
  /// Half blocks: two modules per character.
  case utf8
  /// Two blanks with a background color per module.
  case ansi
  /// Two ASCII characters per module.
  case ascii
  case none
}

/// A QR code drawn with characters. Cameras need dark modules on a light ground: with colors, black on white; without,
/// UTF-8 draws the light modules for a dark terminal, ASCII the dark ones.
struct QRDrawing {
  let lines: [String]

  let columns: Int

  /// Returns nil for ``QRForm/none``, and for ``QRForm/auto`` if no form fits.
  init?(_ code: QRCode, form: QRForm, on screen: QRScreen) {
    // Leave one row for the question.
    let fitting = Self.largest(of: code, form: form, on: screen) { drawing in
      guard let size = screen.size else { return true }
      return drawing.lines.count + 1 <= size.rows && drawing.columns <= size.columns
    }
    if let fitting {
      self = fitting
    } else if form != .auto, form != .none {
      // Draw a form that the user named even if it does not fit.
      self.init(code, as: form, margin: screen.size == nil ? 4 : 2, on: screen)
    } else {
      return nil
    }
  }

  /// The largest fitting drawing in the first form that has one.
  static func largest(
    of code: QRCode, form: QRForm, on screen: QRScreen, where fits: (QRDrawing) -> Bool
  ) -> QRDrawing? {
    for form in forms(form, on: screen) {
      for margin in margins {
        let drawing = QRDrawing(code, as: form, margin: margin, on: screen)
        if fits(drawing) { return drawing }
      }
    }
    return nil
  }

  /// The narrowest drawing, whether or not it fits; nil for ``QRForm/none``.
  static func smallest(of code: QRCode, form: QRForm, on screen: QRScreen) -> QRDrawing? {
    forms(form, on: screen).map { QRDrawing(code, as: $0, margin: margins[margins.count - 1], on: screen) }
      .min { $0.columns < $1.columns }
  }

  /// Quiet zones in modules. The standard requires four; one suffices for cameras.
  private static let margins = [4, 2, 1]

  private static func forms(_ form: QRForm, on screen: QRScreen) -> [QRForm] {
    switch form {
    case .none: return []
    case .auto:
      guard screen.size != nil else { return [] }
      switch screen.isUTF8 {
      case true?: return [.utf8]
      case false?: return screen.hasColors ? [.ansi] : [.ascii]
      case nil: return screen.hasColors ? [.ansi, .utf8] : [.utf8]
      }
    default: return [form]
    }
  }

  /// Draws half blocks without colors for a login, whose terminal is unknown. Blocks are the light modules, for a dark
  /// terminal, or with `isSwapped` the dark ones. Returns nil if the code is too wide.
  init?(forLogin code: QRCode, isSwapped: Bool) {
    guard let margin = [4, 2].first(where: { code.size + 2 * $0 <= Self.widestInLogin }) else { return nil }
    self.init(code, as: .utf8, margin: margin, on: QRScreen(), ink: Ink(drawsDark: isSwapped))
  }

  /// In columns.
  private static let widestInLogin = 60

  private init(_ code: QRCode, as form: QRForm, margin: Int, on screen: QRScreen, ink: Ink? = nil) {
    let ink = ink ?? Ink(screen: screen)
    let side = code.size + 2 * margin
    columns = form == .utf8 ? side : 2 * side
    lines =
      switch form {
      case .utf8: Self.halfBlocks(code, margin: margin, ink: ink)
      case .ansi: Self.wide(code, margin: margin) { ink.ground(isDark: $0) + "  " }.map { $0 + Ink.end }
      case .ascii:
        Self.wide(code, margin: margin) { $0 ? "##" : "  " }.map { screen.hasColors ? ink.start + $0 + Ink.end : $0 }
      case .auto, .none: []
      }
  }

  private static func halfBlocks(_ code: QRCode, margin: Int, ink: Ink) -> [String] {
    stride(from: -margin, to: code.size + margin, by: 2).map { row in
      var line = ink.start
      for column in -margin..<code.size + margin {
        let upper = code.isDark(row: row, column: column) == ink.drawsDark
        // The side is odd: the lower half of the last line is outside the code.
        let lower = code.isDark(row: row + 1, column: column) == ink.drawsDark
        switch (upper, lower) {
        case (true, true): line += "█"
        case (true, false): line += "▀"
        case (false, true): line += "▄"
        case (false, false): line += " "
        }
      }
      return line + ink.finish
    }
  }

  private static func wide(_ code: QRCode, margin: Int, cell: (Bool) -> String) -> [String] {
    (-margin..<code.size + margin).map { row in
      (-margin..<code.size + margin).map { cell(code.isDark(row: row, column: $0)) }.joined()
    }
  }
}

private struct Ink {
  static let end = "\u{1B}[0m"

  /// Whether characters are the dark modules, and blanks the light ones.
  let drawsDark: Bool
  /// Begins a line in black on white.
  let start: String
  let finish: String

  private let dark: String
  private let light: String

  init(screen: QRScreen) {
    drawsDark = screen.hasColors
    if screen.has256Colors {
      // Black and white in xterm's color cube.
      (dark, light) = ("\u{1B}[48;5;16m", "\u{1B}[48;5;231m")
      start = screen.hasColors ? "\u{1B}[38;5;16;48;5;231m" : ""
    } else {
      (dark, light) = ("\u{1B}[40m", "\u{1B}[47m")
      start = screen.hasColors ? "\u{1B}[30;47m" : ""
    }
    finish = screen.hasColors ? Self.end : ""
  }

  /// Without colors.
  init(drawsDark: Bool) {
    self.drawsDark = drawsDark
    (dark, light, start, finish) = ("", "", "", "")
  }

  func ground(isDark: Bool) -> String { isDark ? dark : light }
}
