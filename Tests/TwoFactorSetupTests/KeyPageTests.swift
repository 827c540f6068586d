import Testing

@testable import TwoFactorSetup

@Suite struct KeyPageTests {
  private static let key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
  private static let grouped = "ABCD EFGH IJKL MNOP QRST UVWX YZ23 4567"

  private func page(issuer: String, form: QRForm = .auto, file: String? = nil) -> KeyPage {
    KeyPage(
      heading: "Two-factor login for alice", groupedKey: Self.grouped, kind: "time based",
      uriText: "otpauth://totp/\(issuer):alice?secret=\(Self.key)&issuer=\(issuer)", shortURI: shortURI(issuer),
      shorterIssuers: [("host", shortURI("host"))], form: form, file: file,
      arguments: ["enable"])
  }

  private func shortURI(_ issuer: String) -> String {
    "otpauth://totp/alice?secret=\(Self.key)&issuer=\(issuer)"
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
  func aPageFitsTheWindowOrThereIsNone(issuer: String, notice: String?) throws {
    var (drawn, alone) = (0, 0)
    for rows in [2, 8, 18, 20, 24, 25, 33, 60] {
      for columns in [20, 36, 47, 60, 80, 120] {
        let (page, screen) = (page(issuer: issuer), screen(rows, columns, colors: columns < 100))
        for side in [nil, .code, .text] as [KeyPage.View.Side?] {
          guard let view = page.view(on: screen, notice: notice, side: side) else { continue }
          let text = plain(view.lines)
          let height = text.reduce(0) { $0 + PageText.rows(of: $1, columns: columns) }
          #expect(height < rows + (view.hasQuestion ? 0 : 1), "\(rows)x\(columns)")
          #expect(text.allSatisfy { $0.displayWidth <= columns || $0.hasPrefix("URI: ") }, "\(rows)x\(columns)")
          if hasDrawing(text) { drawn += 1 }
          if view.side == .code {
            alone += 1
            #expect(hasDrawing(text), "\(rows)x\(columns)")
            continue
          }
          // The page contains all groups of the key.
          let beside = text.map { $0.split(separator: "  ").last.map(String.init) ?? $0 }.joined(separator: " ")
          for group in Self.grouped.split(separator: " ") { #expect(beside.contains(group), "\(rows)x\(columns)") }
        }
      }
    }
    #expect(drawn > 10 && alone > 2)
  }

  @Test func theQRCodeStandsAloneIfThereIsNoRoomForTheText() throws {
    let page = page(issuer: "server")
    let code = try #require(page.view(on: screen(24, 60), notice: nil, side: nil))
    #expect(code.side == .code && code.hasQuestion && plain(code.lines).last == "Press Enter to see the key.")
    let text = try #require(page.view(on: screen(24, 60), notice: nil, side: .text))
    #expect(text.side == .text && text.lines.contains("Press Enter to see the QR code."))
    // A wrong code is commented on beside the key if not below the QR code.
    let notice = try #require(page.view(on: screen(22, 60), notice: Self.notice, side: nil))
    #expect(notice.side == .text && notice.lines.joined(separator: " ").contains("3 minutes late"))
  }

  @Test func aQRCodeCanFillTheWindow() throws {
    let page = page(issuer: "server.example.org")
    let text = try #require(page.view(on: screen(20, 40), notice: nil, side: nil))
    #expect(text.side == .text && text.hasQuestion && !hasDrawing(plain(text.lines)))
    #expect(plain(text.lines).joined(separator: " ").contains("Press Enter to see the QR code, and Enter again"))
    let code = try #require(page.view(on: screen(20, 40), notice: nil, side: .code))
    #expect(!code.hasQuestion && plain(code.lines).count == 20)
  }

  @Test func aQRCodeThatDoesNotFitIsReplacedByTheCommandThatMakesItFit() throws {
    let issuer = "a-very-long-name-of-a-server.of-a-department.example.org"
    let small = plain(page(issuer: issuer).view(on: screen(20, 40), notice: nil, side: nil)?.lines ?? [])
    #expect(small.joined(separator: " ").contains(" --issuer host "), "\(small)")
    #expect(small.joined(separator: " ").contains(" 43 columns and 24 rows are enough."), "\(small)")
    // No issuer is short enough for this window.
    let tiny = plain(page(issuer: issuer).view(on: screen(24, 34), notice: nil, side: nil)?.lines ?? [])
    #expect(tiny.joined(separator: " ").contains(" --qr-file code.png "), "\(tiny)")
  }

  @Test(arguments: ["server", "server.example.org", "a-very-long-name.example.org"])
  func anOldTerminalShowsAQRCode(issuer: String) throws {
    let view = try #require(page(issuer: issuer).view(on: screen(24, 80), notice: nil, side: nil))
    #expect(hasDrawing(view.lines) && view.side == nil)
  }

  @Test func theURIIsInOnePieceIfItFits() throws {
    let uri = "URI: otpauth://totp/server:alice?secret=\(Self.key)&issuer=server"
    for (rows, columns) in [(24, 80), (30, 60), (50, 100)] {
      let view = try #require(page(issuer: "server").view(on: screen(rows, columns), notice: nil, side: nil))
      #expect(view.lines.contains(uri))
    }
  }

  @Test func aFormThatDoesNotFitHasNoPage() {
    #expect(page(issuer: "server", form: .ansi).view(on: screen(24, 80), notice: nil, side: nil) == nil)
    #expect(page(issuer: "server", form: .ansi).view(on: screen(60, 100), notice: nil, side: nil) != nil)
    #expect(page(issuer: "server", form: .none).view(on: QRScreen(), notice: nil, side: nil) == nil)
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
      let view = try #require(page.view(on: screen(40, 80), notice: nil, side: nil))
      #expect(view.lines.contains("The QR code is in code.png"))
      #expect(page.transcript(on: QRScreen()).contains("\nThe QR code is in code.png\n"))
    }
  }
}
