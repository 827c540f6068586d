import FixedMemory
import HostAccess

/// A page on the terminal's alternate screen, which keeps a secret out of the scrollback. Redrawn after a resize and
/// after Ctrl-Z.
final class CoveringPage {
  private let terminal: Terminal
  private let content: KeyPage
  private var isUp = false
  /// The side that the user turned to.
  private var side: KeyPage.View.Side?
  private var view: KeyPage.View?

  /// Comments on the last answer; shown with the next question.
  var notice: String? {
    didSet { if notice != nil { side = nil } }
  }

  /// Nil if the terminal has no alternate screen or the page does not fit.
  init?(_ content: KeyPage, on terminal: Terminal) {
    guard terminal.canBeCovered, content.view(on: terminal.qrScreen, notice: nil, side: nil) != nil else { return nil }
    self.terminal = terminal
    self.content = content
  }

  /// Asks until the answer is not empty: an empty one turns a page of two sides.
  func ask(_ question: String) throws -> SecretBuffer {
    while true {
      let reply = try terminal.ask(question, below: self)
      guard reply.count == 0, let shown = view?.side else { return reply }
      side = shown == .code ? .text : .code
      notice = nil
    }
  }

  /// Whether the page leaves a row for a question.
  var hasQuestion: Bool { view?.hasQuestion ?? true }

  func show() throws {
    terminal.waitForForeground()
    let screen = terminal.qrScreen
    let shown = content.view(on: screen, notice: notice, side: side) ?? end(on: screen)
    view = shown
    let start = isUp ? Self.erasure(rows: screen.size?.rows) : Self.enter
    isUp = true
    let text = shown.lines.joined(separator: "\n")
    // A line feed in the last row would scroll.
    try terminal.page.write(start + text + (shown.hasQuestion ? "\n" : ""))
  }

  /// The end of a page that does not fit, with the notice.
  private func end(on screen: QRScreen) -> KeyPage.View {
    guard let size = screen.size else { return KeyPage.View(lines: []) }
    let comment = notice.map { PageText.wrapped($0, columns: size.columns) } ?? []
    let shown = content.view(on: screen, notice: nil, side: notice == nil ? side : .text)
    return KeyPage.View(lines: ((shown?.lines ?? []) + comment).suffix(max(0, size.rows - 1)), side: shown?.side)
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
