import Testing

@testable import TwoFactorSetup

@Suite struct QRDrawingTests {
  private let uri = "otpauth://totp/build-host:alice?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&issuer=build-host"

  private func terminal(rows: Int, columns: Int, utf8: Bool? = true, colors: Bool = true) -> QRScreen {
    QRScreen(size: (rows, columns), hasColors: colors, has256Colors: colors, isUTF8: utf8)
  }

  @Test func aUsualCodeAndTheQuestionFitOnAnOldTerminal() throws {
    let code = try #require(QRCode(uri))
    let drawing = try #require(QRDrawing(code, form: .auto, on: terminal(rows: 24, columns: 80)))
    #expect(drawing.lines.count <= 23)
    #expect(drawing.lines.allSatisfy { $0.hasPrefix("\u{1B}[38;5;16;48;5;231m") && $0.hasSuffix("\u{1B}[0m") })
  }

  @Test func theQuietZoneIsAsWideAsFits() throws {
    let code = try #require(QRCode(uri))
    let wide = try #require(QRDrawing(code, form: .auto, on: terminal(rows: 60, columns: 120)))
    let narrow = try #require(QRDrawing(code, form: .auto, on: terminal(rows: 21, columns: 80)))
    #expect(wide.lines.count == (code.size + 8 + 1) / 2)
    #expect(narrow.lines.count == (code.size + 2 + 1) / 2)
  }

  @Test func noCodeIsDrawnIfNoneFits() throws {
    let code = try #require(QRCode(uri))
    #expect(QRDrawing(code, form: .auto, on: terminal(rows: 15, columns: 80)) == nil)
    #expect(QRDrawing(code, form: .auto, on: terminal(rows: 50, columns: 30)) == nil)
  }

  @Test func withoutATerminalOnlyANamedFormIsDrawn() throws {
    let code = try #require(QRCode(uri))
    #expect(QRDrawing(code, form: .auto, on: QRScreen()) == nil)
    #expect(QRDrawing(code, form: .utf8, on: QRScreen()) != nil)
    #expect(QRDrawing(code, form: .none, on: terminal(rows: 60, columns: 120)) == nil)
  }

  @Test func aNamedFormIsDrawnEvenIfItDoesNotFit() throws {
    let code = try #require(QRCode(uri))
    #expect(QRDrawing(code, form: .ansi, on: terminal(rows: 10, columns: 10)) != nil)
  }

  @Test func aLocaleWithoutUTF8GetsBlanks() throws {
    let code = try #require(QRCode(uri))
    let drawing = try #require(QRDrawing(code, form: .auto, on: terminal(rows: 60, columns: 120, utf8: false)))
    #expect(drawing.lines.allSatisfy { $0.utf8.allSatisfy { $0 < 0x80 } })
  }

  @Test func withoutColorsNoEscapeIsWritten() throws {
    let code = try #require(QRCode(uri))
    let screen = terminal(rows: 60, columns: 120, colors: false)
    for form in [QRForm.auto, .utf8, .ascii] {
      let drawing = try #require(QRDrawing(code, form: form, on: screen))
      #expect(drawing.lines.allSatisfy { !$0.contains("\u{1B}") })
    }
  }

  @Test(arguments: [false, true])
  func aLoginDrawsEachModuleWithPlainCharacters(isSwapped: Bool) throws {
    let code = try #require(QRCode(uri))
    let drawing = try #require(QRDrawing(forLogin: code, isSwapped: isSwapped))
    let lines = drawing.lines.map(Array.init)
    #expect(lines.allSatisfy { $0.count == code.size + 8 && $0.allSatisfy("█▀▄ ".contains) })
    for row in -4..<code.size + 4 {
      for column in -4..<code.size + 4 {
        let character = lines[(row + 4) / 2][column + 4]
        let isBlock = character == "█" || character == ((row + 4) % 2 == 0 ? "▀" : "▄")
        #expect(isBlock == (code.isDark(row: row, column: column) == isSwapped))
      }
    }
  }

  @Test func aLoginDrawsAtMostSixtyColumns() {
    var margins: Set<Int> = []
    for length in stride(from: 20, to: 500, by: 10) {
      guard let code = QRCode(String(repeating: "x", count: length)) else { continue }
      guard let drawing = QRDrawing(forLogin: code, isSwapped: false) else {
        #expect(code.size + 4 > 60)
        continue
      }
      #expect(drawing.columns <= 60)
      margins.insert((drawing.columns - code.size) / 2)
    }
    #expect(margins == [2, 4])
  }

  @Test func everyModuleIsInTheASCIIDrawing() throws {
    let code = try #require(QRCode(uri))
    let drawing = try #require(QRDrawing(code, form: .ascii, on: QRScreen()))
    for row in 0..<code.size {
      let line = Array(drawing.lines[row + 4])
      for column in 0..<code.size {
        #expect((line[2 * (column + 4)] == "#") == code.isDark(row: row, column: column))
      }
    }
  }

  @Test(
    arguments: [
      (["", "de_DE.UTF-8"], true), (["en_US.utf8"], true), (["C.UTF-8"], true), (["C"], nil),
      (["POSIX", "C.UTF-8"], nil),
      (["de_DE.ISO-8859-1"], false), (["de_DE"], false), ([], nil), (["", ""], nil),
    ] as [([String], Bool?)])
  func theLocaleSaysWhetherTheTerminalShowsUTF8(variables: [String], isUTF8: Bool?) {
    #expect(Terminal.localeIsUTF8(variables) == isUTF8)
  }

  @Test(
    arguments: [
      ("xterm-256color", true), ("linux", true), ("tmux", true), ("vt100", true), ("", false), ("dumb", false),
      ("dumb-emacs-ansi", false), ("unknown", false), ("vt52", false),
    ])
  func theTerminalTypeSaysWhetherItSupportsControlSequences(type: String, takes: Bool) {
    #expect(Terminal.hasCursorControl(type) == takes)
  }
}
