import FixedMemory

/// A page that covers a terminal while questions about it are answered, and is gone afterwards, as the text of
/// less(1) is: what is secret on it does not stay behind, neither on the screen nor above it.
///
/// It is drawn anew when the size of the window changes and when the command goes on after Ctrl-Z; while the
/// command is stopped, the shell has its screen back.
final class CoveringPage {
  private let terminal: Terminal
  private let draw: (QRScreen, String?) -> [String]?
  private var isUp = false

  /// What there is to say about the last answer; shown with the next question.
  var notice: String?

  /// A page that is not shown yet; nil where the terminal cannot be covered, or the page does not fit on it.
  ///
  /// - Parameters:
  ///   - terminal: The terminal.
  ///   - draw: Gives the lines of the page for a screen and a notice; nil where they do not fit.
  init?(on terminal: Terminal, draw: @escaping (QRScreen, String?) -> [String]?) {
    guard terminal.canBeCovered, draw(terminal.qrScreen, nil) != nil else { return nil }
    self.terminal = terminal
    self.draw = draw
  }

  /// Asks a question below the page.
  func ask(_ question: String) throws -> SecretBuffer { try terminal.ask(question, below: self) }

  /// Covers the terminal, or draws the page again where it does.
  func show() throws {
    terminal.waitForForeground()
    let screen = terminal.qrScreen
    let lines = draw(screen, notice) ?? end(of: screen)
    let start = isUp ? Self.erasure(rows: screen.size?.rows) : Self.enter
    isUp = true
    try terminal.page.write(start + lines.map { $0 + "\n" }.joined())
  }

  /// The end of a page that does not fit, with the notice below it.
  private func end(of screen: QRScreen) -> [String] {
    guard let size = screen.size else { return [] }
    let said = notice.map { PageText.wrapped($0, columns: size.columns) } ?? []
    return ((draw(screen, nil) ?? []) + said).suffix(max(0, size.rows - 1))
  }

  /// Gives the terminal back as it was.
  func hide() {
    guard isUp else { return }
    isUp = false
    // A terminal that does not take it is gone.
    try? terminal.page.write(Self.erasure(rows: terminal.pageSize?.rows) + Self.leave)
  }

  /// The alternate screen of xterm's control sequences. A terminal that has none takes no notice, and is cleared.
  private static let enter = "\u{1B}[?1049h\u{1B}[H\u{1B}[2J"
  private static let leave = "\u{1B}[?1049l"

  /// Erases every row where it stands. Many terminals keep above their screen what is cleared at once.
  private static func erasure(rows: Int?) -> String {
    "\u{1B}[H" + String(repeating: "\u{1B}[2K\u{1B}[B", count: rows ?? 24) + "\u{1B}[H"
  }
}
