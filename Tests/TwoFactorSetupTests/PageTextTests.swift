import Testing

@testable import TwoFactorSetup

@Suite struct PageTextTests {
  @Test(
    arguments: [
      ("", 10, [""]),
      ("one two three", 7, ["one two", "three"]),
      ("one two three", 13, ["one two three"]),
      ("a word-that-is-long b", 6, ["a", "word-t", "hat-is", "-long", "b"]),
      ("  blanks   between ", 20, ["blanks between"]),
      ("日本語 日本", 6, ["日本語", "日本"]),
    ] as [(String, Int, [String])])
  func linesAreBrokenAtBlanks(text: String, columns: Int, lines: [String]) {
    #expect(PageText.wrapped(text, columns: columns) == lines)
  }

  @Test(arguments: [("abc", 3), ("zoë", 3), ("zoe\u{308}", 3), ("日本", 4), ("", 0), ("👍a", 3)])
  func charactersAreAsWideAsTheTerminalDrawsThem(text: String, width: Int) {
    #expect(text.displayWidth == width)
  }

  @Test(
    arguments: [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd~"), ("日本語", 4, "日~"), ("ab", 0, "")]
      as [(String, Int, String)])
  func longTextIsTruncatedWithAMark(text: String, columns: Int, cut: String) {
    #expect(text.cut(to: columns) == cut)
  }

  @Test func aTextThatTheTerminalBreaksTakesWholeRows() {
    #expect(PageText.rows(of: "abcd", columns: 4) == 1)
    #expect(PageText.rows(of: "abcde", columns: 4) == 2)
    #expect(PageText.rows(of: "", columns: 4) == 1)
  }
}

@Suite struct TextTableTests {
  @Test func columnsAreAsWideAsTheirCells() {
    var table = TextTable(["A", "LONG", "C"])
    table.add(["longer", "x", ""])
    table.add(["", "", "last"])
    #expect(
      table.text == """
        A       LONG  C
        longer  x     \("")
                      last

        """)
  }

  @Test func aShortRowDoesNotWidenItsColumn() {
    var table = TextTable(["USER", "ON", "SINCE"])
    table.add(["alice", "a sentence that goes on and on"])
    table.add(["日本", "yes", "today"])
    #expect(
      table.text == """
        USER   ON   SINCE
        alice  a sentence that goes on and on
        日本   yes  today

        """)
  }

  @Test(
    arguments: [
      (nil, "a-long-long-name  yes  2026-01-31", "USER              ON   SINCE"),
      (40, "a-long-long-name  yes  2026-01-31", "USER              ON   SINCE"),
      (30, "a-long-long-~  yes  2026-01-31", "USER           ON   SINCE"),
      (25, "a-long-~  yes  2026-01-31", "USER      ON   SINCE"),
      (20, "a-long-~  yes  2026~", "USER      ON   SINCE"),
    ] as [(Int?, String, String)])
  func namesAreTruncatedFirst(columns: Int?, row: String, heading: String) {
    var table = TextTable(["USER", "ON", "SINCE"])
    table.add(["a-long-long-name", "yes", "2026-01-31"])
    #expect(table.text(columns: columns) == "\(heading)\n\(row)\n")
  }

  @Test func recordsHaveOneCellALine() {
    var table = TextTable(["NAME", "CODES"])
    table.add(["phone", "time-based"])
    table.add(["token"])
    #expect(table.records == "NAME: phone\nCODES: time-based\n\nNAME: token\n")
  }
}
