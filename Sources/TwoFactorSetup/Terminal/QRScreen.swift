import Glibc

struct QRScreen: Equatable {
  /// Nil if it is no terminal.
  var size: (rows: Int, columns: Int)?
  var hasColors = false
  /// Whether it has xterm's 256 colors, in which no theme changes black and white.
  var has256Colors = false
  /// Whether it shows UTF-8; nil if the locale does not say.
  var isUTF8: Bool?
  var hasCursorControl = false

  static func == (left: QRScreen, right: QRScreen) -> Bool {
    left.size?.rows == right.size?.rows && left.size?.columns == right.size?.columns
      && left.hasColors == right.hasColors && left.has256Colors == right.has256Colors && left.isUTF8 == right.isUTF8
      && left.hasCursorControl == right.hasCursorControl
  }
}

extension Terminal {
  /// As `TERM`, `NO_COLOR` and the locale describe it.
  var qrScreen: QRScreen {
    guard page.isTerminal else { return QRScreen() }
    let type = Self.environment("TERM") ?? ""
    let hasCursorControl = Self.hasCursorControl(type)
    let hasColors = hasCursorControl && (Self.environment("NO_COLOR") ?? "").isEmpty && !type.hasPrefix("vt")
    return QRScreen(
      size: Self.size(of: page.descriptor) ?? (24, 80), hasColors: hasColors,
      has256Colors: hasColors && (type.contains("256color") || type.contains("direct")),
      isUTF8: Self.localeIsUTF8(["LC_ALL", "LC_CTYPE", "LANG"].compactMap(Self.environment)),
      hasCursorControl: hasCursorControl)
  }

  var pageSize: (rows: Int, columns: Int)? { page.isTerminal ? Self.size(of: page.descriptor) : nil }

  /// Whether a `TERM` supports ECMA-48: all but dumb and older terminals.
  static func hasCursorControl(_ type: String) -> Bool {
    guard !type.isEmpty else { return false }
    return !["dumb", "unknown", "network", "emacs", "vt52", "adm", "tvi", "wy"].contains { type.hasPrefix($0) }
  }

  private static func size(of descriptor: Int32) -> (rows: Int, columns: Int)? {
    var size = winsize()
    // SAFETY: the kernel writes one winsize.
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
    return (Int(size.ws_row), Int(size.ws_col))
  }

  /// The first variable that is set decides (locale(7)); nil for the C locale.
  static func localeIsUTF8(_ variables: [String]) -> Bool? {
    guard let locale = variables.first(where: { !$0.isEmpty }) else { return nil }
    let name = locale.lowercased()
    if name.contains("utf-8") || name.contains("utf8") { return true }
    return name == "c" || name == "posix" ? nil : false
  }

  static func environment(_ name: String) -> String? {
    // SAFETY: the C string is copied at once.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
