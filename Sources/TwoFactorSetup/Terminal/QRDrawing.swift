import ArgumentParser

/// The form in which a QR code is drawn with characters.
enum QRForm: String, CaseIterable, ExpressibleByArgument {
  /// What fits.
  case auto
  /// Two modules in a character, by half blocks.
  case utf8
  /// Two blanks with a background colour for a module.
  case ansi
  /// Two ASCII characters for a module.
  case ascii
  /// Not at all.
  case none
}

/// The screen that a QR code is to be drawn on.
struct QRScreen: Equatable {
  /// Rows and columns; nil where it is no terminal.
  var size: (rows: Int, columns: Int)?
  /// Whether it understands colours.
  var hasColours = false
  /// Whether it has the 256 colours of xterm, among them a black and a white that no theme changes.
  var has256Colours = false
  /// Whether it shows UTF-8; nil where the locale does not say.
  var isUTF8: Bool?
  /// Whether it clears itself and moves its cursor when it is told to, as all that follow ECMA-48 do.
  var hasCursorControl = false

  static func == (left: QRScreen, right: QRScreen) -> Bool {
    left.size?.rows == right.size?.rows && left.size?.columns == right.size?.columns
      && left.hasColours == right.hasColours && left.has256Colours == right.has256Colours && left.isUTF8 == right.isUTF8
      && left.hasCursorControl == right.hasCursorControl
  }
}

/// A QR code drawn with characters.
///
/// A camera needs dark modules on a light ground. Where the screen has colours, black and white are named, so
/// that the code reads the same on a dark and on a light terminal. Without colours the light modules are
/// drawn, for a terminal that is dark; in ASCII the dark ones, as on paper.
struct QRDrawing {
  /// The lines, ready to be written.
  let lines: [String]

  /// How many columns a line takes.
  let columns: Int

  /// The code in the form asked for; nil where it is ``QRForm/none``, or where ``QRForm/auto`` finds none
  /// that fits.
  init?(_ code: QRCode, form: QRForm, on screen: QRScreen) {
    // The question stands below it.
    let fitting = Self.largest(of: code, form: form, on: screen) { drawing in
      guard let size = screen.size else { return true }
      return drawing.lines.count + 1 <= size.rows && drawing.columns <= size.columns
    }
    if let fitting {
      self = fitting
    } else if form != .auto, form != .none {
      // A form that was asked for by name is drawn even where the screen has to be scrolled.
      self.init(code, as: form, margin: screen.size == nil ? 4 : 2, on: screen)
    } else {
      return nil
    }
  }

  /// The largest drawing in the form asked for that fits: of the forms that the screen can show the larger one
  /// first, each with the widest quiet zone first.
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

  /// The quiet zones to try, in modules: four is the norm's, and cameras do with one.
  private static let margins = [4, 2, 1]

  /// The forms to try.
  private static func forms(_ form: QRForm, on screen: QRScreen) -> [QRForm] {
    switch form {
    case .none: return []
    case .auto:
      guard screen.size != nil else { return [] }
      switch screen.isUTF8 {
      case true?: return [.utf8]
      case false?: return screen.hasColours ? [.ansi] : [.ascii]
      case nil: return screen.hasColours ? [.ansi, .utf8] : [.utf8]
      }
    default: return [form]
    }
  }

  private init(_ code: QRCode, as form: QRForm, margin: Int, on screen: QRScreen) {
    let ink = Ink(screen: screen)
    let side = code.size + 2 * margin
    columns = form == .utf8 ? side : 2 * side
    lines =
      switch form {
      case .utf8: Self.halfBlocks(code, margin: margin, ink: ink)
      case .ansi: Self.wide(code, margin: margin) { ink.ground(isDark: $0) + "  " }.map { $0 + Ink.end }
      case .ascii:
        Self.wide(code, margin: margin) { $0 ? "##" : "  " }.map { screen.hasColours ? ink.start + $0 + Ink.end : $0 }
      case .auto, .none: []
      }
  }

  private static func halfBlocks(_ code: QRCode, margin: Int, ink: Ink) -> [String] {
    stride(from: -margin, to: code.size + margin, by: 2).map { row in
      var line = ink.start
      for column in -margin..<code.size + margin {
        let upper = code.isDark(row: row, column: column) == ink.drawsDark
        // A side is odd, so the last line ends with half a line of paper.
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

/// The colours of a drawing.
private struct Ink {
  static let end = "\u{1B}[0m"

  /// Whether the characters stand for the dark modules.
  let drawsDark: Bool
  /// What begins a line in black on white.
  let start: String
  /// What ends it.
  let finish: String

  private let dark: String
  private let light: String

  init(screen: QRScreen) {
    drawsDark = screen.hasColours
    if screen.has256Colours {
      // 16 and 231 are the corners of xterm's colour cube, true black and true white.
      (dark, light) = ("\u{1B}[48;5;16m", "\u{1B}[48;5;231m")
      start = screen.hasColours ? "\u{1B}[38;5;16;48;5;231m" : ""
    } else {
      (dark, light) = ("\u{1B}[40m", "\u{1B}[47m")
      start = screen.hasColours ? "\u{1B}[30;47m" : ""
    }
    finish = screen.hasColours ? Self.end : ""
  }

  func ground(isDark: Bool) -> String { isDark ? dark : light }
}
