import HostAccess
import Testing

@testable import TwoFactorSetup

@Suite struct LoginDialogueTests {
  @Test(
    arguments: [
      ("one line\n", ["one line"]),
      ("\nfirst\n\nsecond\n", ["first\t\tsecond"]),
      ("", []), ("\n\n", []),
      ("  indented  \n", ["  indented  "]),
      ("done enrolled\nsay x", ["done enrolled\tsay x"]),
    ] as [(String, [String])])
  func aTabIsALineBreak(text: String, messages: [String]) {
    #expect(LoginDialogue.messages(text) == messages)
  }

  @Test func otherControlCharactersAreEscaped() {
    let text = "a\tb\u{0}c\u{1B}[2Jd\u{7F}e\u{9B}f\rg\r\nh\u{202E}i\u{2028}j"
    let messages = LoginDialogue.messages(text)
    #expect(messages == [text.printable])
    #expect(messages.allSatisfy { $0.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } })
  }

  @Test func longTextsAreSplitAtLineEnds() {
    let lines = (0..<40).map { "line \($0) " + String(repeating: "█", count: $0) }
    let messages = LoginDialogue.messages(lines.joined(separator: "\n"))
    #expect(messages.count > 1 && messages.allSatisfy { (1...512).contains($0.utf8.count) })
    #expect(messages.flatMap { $0.split(separator: "\t").map(String.init) } == lines)
  }

  @Test(arguments: ["x", "ä", "█", "😀", "e\u{301}"])
  func aLineThatIsTooLongIsBrokenAtACharacter(letter: String) {
    let line = String(repeating: letter, count: 1000)
    let messages = LoginDialogue.messages("before\n\(line)\nafter")
    #expect(messages.allSatisfy { (1...512).contains($0.utf8.count) })
    #expect(
      messages.joined() == "before\(line)after".replacing("after", with: messages.last == "after" ? "after" : "\tafter")
    )
  }

  @Test func aLineThatIsTooLongIsBrokenAtBlanks() {
    let words = (0..<300).map { "word\($0)" }
    let messages = LoginDialogue.messages(words.joined(separator: " "))
    #expect(messages.count > 1 && messages.allSatisfy { $0.utf8.count <= 512 })
    #expect(messages.flatMap { $0.split(separator: " ").map(String.init) } == words)
  }

  @Test func aReasonIsShownAsSentences() {
    let error = SetupError(.refused, "two-factor login stays off", hint: "try again")
    #expect(error.sentences == "Two-factor login stays off. Try again.")
  }
}
