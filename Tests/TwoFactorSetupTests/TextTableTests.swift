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
}
