import FixedMemory

/// A page on the terminal's alternate screen, which keeps a secret out of the scrollback. Redrawn after a resize and
/// after Ctrl-Z.
final class CoveringPage {
  private let terminal: Terminal
  private let draw: (QRScreen, String?) -> [String]?
  private var isUp = false

  /// Comments on the last answer; shown with the next question.
  var notice: String?

  /// Nil if the terminal has no alternate screen or the page does not fit. `draw` returns the lines, or nil if they do
  /// not fit.
  init?(on terminal: Terminal, draw: @escaping (QRScreen, String?) -> [String]?) {
    guard terminal.canBeCovered, draw(terminal.qrScreen, nil) != nil else { return nil }
    self.terminal = terminal
    self.draw = draw
  }

  func ask(_ question: String) throws -> SecretBuffer { try terminal.ask(question, below: self) }

  func show() throws {
    terminal.waitForForeground()
    let screen = terminal.qrScreen
    let lines = draw(screen, notice) ?? end(of: screen)
    let start = isUp ? Self.erasure(rows: screen.size?.rows) : Self.enter
    isUp = true
    try terminal.page.write(start + lines.map { $0 + "\n" }.joined())
  }

  /// The end of a page that does not fit, with the notice.
  private func end(of screen: QRScreen) -> [String] {
    guard let size = screen.size else { return [] }
    let comment = notice.map { PageText.wrapped($0, columns: size.columns) } ?? []
    return ((draw(screen, nil) ?? []) + comment).suffix(max(0, size.rows - 1))
  }

  func hide() {
    guard isUp else { return }
    isUp = false
    try? terminal.page.write(Self.erasure(rows: terminal.pageSize?.rows) + Self.leave)
  }

  /// Sequences of xterm. Other terminals ignore `?1049h` and are cleared.
  private static let enter = "\u{1B}[?1049h\u{1B}[H\u{1B}[2J"
  private static let leave = "\u{1B}[?1049l"

  /// Erases row by row, because many terminals scroll a cleared screen into the scrollback.
  private static func erasure(rows: Int?) -> String {
    "\u{1B}[H" + String(repeating: "\u{1B}[2K\u{1B}[B", count: rows ?? 24) + "\u{1B}[H"
  }
}
