import Testing

@testable import TwoFactorSetup

@Suite struct TextTableTests {
  @Test func columnsAreAsWideAsWhatIsInThem() {
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

  @Test func aShortRowMakesNoColumnWider() {
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
  func namesAreCutFirstToFitATerminal(columns: Int?, row: String, heading: String) {
    var table = TextTable(["USER", "ON", "SINCE"])
    table.add(["a-long-long-name", "yes", "2026-01-31"])
    #expect(table.text(columns: columns) == "\(heading)\n\(row)\n")
  }
}
