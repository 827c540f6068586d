import Testing

@testable import TwoFactorSetup

@Suite struct KeyPageTests {
  private static let key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  private static let grouped = "ABCD EFGH IJKL MNOP QRST UVWX YZ23 4567"

  private func page(issuer: String, form: QRForm = .auto, file: String? = nil) -> KeyPage {
    KeyPage(
      heading: "Two-factor login for alice", groupedKey: Self.grouped, kind: "time based",
      uriText: "otpauth://totp/\(issuer):alice?secret=\(Self.key)&issuer=\(issuer)", form: form, file: file)
  }

  private func screen(_ rows: Int, _ columns: Int, colors: Bool = true) -> QRScreen {
    QRScreen(
      size: (rows, columns), hasColors: colors, has256Colors: colors, isUTF8: true, hasCursorControl: true)
  }

  /// The lines without colors.
  private func plain(_ lines: [String]) -> [String] {
    lines.map { line in
      var text = ""
      var isControl = false
      for character in line {
        if character == "\u{1B}" { isControl = true }
        if !isControl { text.append(character) }
        if isControl, character.isLetter { isControl = false }
      }
      return text
    }
  }

  private func hasDrawing(_ lines: [String]) -> Bool { lines.contains { $0.contains("█") || $0.contains("▄") } }

  private static let notice = "This code is right, but 3 minutes late. Type a code as soon as it is shown."

  @Test(
    arguments: ["server", "a-very-long-name-of-a-server.example.org"], [nil, notice] as [String?])
  func aPageFitsTheWindowOrThereIsNone(issuer: String, notice: String?) {
    var drawn = 0
    for rows in [2, 8, 14, 18, 20, 23, 24, 25, 33, 60] {
      for columns in [20, 36, 47, 65, 80, 120] {
        for colors in [true, false] {
          guard let lines = page(issuer: issuer).lines(on: screen(rows, columns, colors: colors), notice: notice)
          else { continue }
          let text = plain(lines)
          let height = text.reduce(0) { $0 + PageText.rows(of: $1, columns: columns) }
          #expect(height < rows, "\(rows)x\(columns)")
          #expect(text.allSatisfy { $0.displayWidth <= columns || $0.hasPrefix("URI: ") }, "\(rows)x\(columns)")
          // The page contains all groups of the key.
          let beside = text.map { $0.split(separator: "  ").last.map(String.init) ?? $0 }.joined(separator: " ")
          for group in Self.grouped.split(separator: " ") { #expect(beside.contains(group), "\(rows)x\(columns)") }
          if hasDrawing(text) { drawn += 1 }
        }
      }
    }
    #expect(drawn > 10)
  }

  @Test(arguments: ["server", "server.example.org", "a-very-long-name.example.org"])
  func anOldTerminalShowsAQRCode(issuer: String) throws {
    let lines = try #require(page(issuer: issuer).lines(on: screen(24, 80), notice: nil))
    #expect(hasDrawing(lines))
  }

  @Test func theURIIsInOnePieceIfItFits() throws {
    let uri = "URI: otpauth://totp/server:alice?secret=\(Self.key)&issuer=server"
    for (rows, columns) in [(24, 80), (30, 60), (50, 100)] {
      let lines = try #require(page(issuer: "server").lines(on: screen(rows, columns), notice: nil))
      #expect(lines.contains(uri))
    }
  }

  @Test func aFormThatDoesNotFitHasNoPage() {
    #expect(page(issuer: "server", form: .ansi).lines(on: screen(24, 80), notice: nil) == nil)
    #expect(page(issuer: "server", form: .ansi).lines(on: screen(60, 100), notice: nil) != nil)
    #expect(page(issuer: "server", form: .none).lines(on: QRScreen(), notice: nil) == nil)
  }

  @Test func theLastMessageOfALoginIsTheKey() throws {
    let page = page(issuer: "server")
    let code = try #require(QRCode(page.uriText))
    let drawing = try #require(QRDrawing(forLogin: code, isSwapped: false))
    let key = "Key: \(Self.grouped) (time based)"
    let messages = page.messages(drawing, form: .messages)
    #expect(messages.first?.hasPrefix("Scan the QR code") == true)
    #expect(messages.dropFirst() == [drawing.lines.joined(separator: "\n"), "URI: \(page.uriText)", key])
    #expect(page.messages(nil, form: .questions).first?.contains("type the key into an app.\nApps: ") == true)
    #expect(page.messages(nil, form: .questions).last == key)
    #expect(page.swapped(drawing).last == key)
  }

  @Test func aPlainLoginShowsTheKeyAlone() {
    let messages = page(issuer: "server").messages(nil, form: .plain)
    #expect(messages.count == 2 && messages.last?.hasPrefix("Key: ") == true)
    #expect(messages.first?.hasPrefix("Type the key into an app for one-time codes.") == true)
  }

  @Test func aURILongerThanAMessageIsLeftOut() {
    let messages = page(issuer: String(repeating: "x", count: 300)).messages(nil, form: .messages)
    #expect(messages.count == 2 && messages.last?.hasPrefix("Key: ") == true)
  }

  @Test func aFileIsNamed() throws {
    for form in [QRForm.auto, .none] {
      let page = page(issuer: "server", form: form, file: "code.png")
      let lines = try #require(page.lines(on: screen(40, 80), notice: nil))
      #expect(lines.contains("The QR code is in code.png"))
      #expect(page.transcript(on: QRScreen()).contains("\nThe QR code is in code.png\n"))
    }
  }
}
