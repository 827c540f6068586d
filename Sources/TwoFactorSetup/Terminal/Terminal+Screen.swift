import Glibc

extension Terminal {
  /// What is known of the screen that a QR code would be drawn on.
  ///
  /// The environment says what the terminal can do, as it does to every program; nothing secret comes from
  /// it.
  var qrScreen: QRScreen {
    guard page.isTerminal else { return QRScreen() }
    let type = Self.environment("TERM") ?? ""
    let hasCursorControl = Self.hasCursorControl(type)
    let hasColours = hasCursorControl && (Self.environment("NO_COLOR") ?? "").isEmpty && !type.hasPrefix("vt")
    return QRScreen(
      size: Self.size(of: page.descriptor) ?? (24, 80), hasColours: hasColours,
      has256Colours: hasColours && (type.contains("256color") || type.contains("direct")),
      isUTF8: Self.localeIsUTF8(["LC_ALL", "LC_CTYPE", "LANG"].compactMap(Self.environment)),
      hasCursorControl: hasCursorControl)
  }

  /// Rows and columns of the terminal that results are written to; nil where it is none, or does not know.
  var pageSize: (rows: Int, columns: Int)? { page.isTerminal ? Self.size(of: page.descriptor) : nil }

  /// Whether a type of terminal takes the control sequences of ECMA-48: all that are made today, but those that
  /// say they take none, and what was built before that norm.
  static func hasCursorControl(_ type: String) -> Bool {
    guard !type.isEmpty else { return false }
    return !["dumb", "unknown", "network", "emacs", "vt52", "adm", "tvi", "wy"].contains { type.hasPrefix($0) }
  }

  /// Rows and columns of a terminal; nil where it does not know.
  private static func size(of descriptor: Int32) -> (rows: Int, columns: Int)? {
    var size = winsize()
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
    return (Int(size.ws_row), Int(size.ws_col))
  }

  /// Whether a locale writes UTF-8 (locale(7)): the first variable that is set decides. Nil where none is
  /// set, or where it is the C locale, which says nothing of the terminal.
  static func localeIsUTF8(_ variables: [String]) -> Bool? {
    guard let locale = variables.first(where: { !$0.isEmpty }) else { return nil }
    let name = locale.lowercased()
    if name.contains("utf-8") || name.contains("utf8") { return true }
    return name == "c" || name == "posix" ? nil : false
  }

  private static func environment(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
