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
  func whatIsTooLongIsCutWithAMark(text: String, columns: Int, cut: String) {
    #expect(text.cut(to: columns) == cut)
  }

  @Test func aTextThatTheTerminalBreaksTakesWholeRows() {
    #expect(PageText.rows(of: "abcd", columns: 4) == 1)
    #expect(PageText.rows(of: "abcde", columns: 4) == 2)
    #expect(PageText.rows(of: "", columns: 4) == 1)
  }
}
