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
    #expect(messages.joined().replacing("\t", with: "") == text.printable)
    #expect(LoginDialogue.question(text, after: [], limit: 512) == text.printable)
  }

  @Test func longTextsAreSplitAtLineEnds() {
    let lines = (0..<40).map { "line \($0)" + String(repeating: "█", count: $0) }
    let messages = LoginDialogue.messages(lines.joined(separator: "\n"))
    #expect(messages.count > 1 && messages.allSatisfy { (1...512).contains($0.utf8.count) })
    #expect(messages.flatMap { $0.split(separator: "\t").map(String.init) } == lines)
  }

  @Test(arguments: ["x", "ä", "█", "😀", "e\u{301}"])
  func aLineHasAtMostSixtyColumns(letter: String) {
    let line = String(repeating: letter, count: 1000)
    let messages = LoginDialogue.messages("before\n\(line)\nafter")
    #expect(messages.allSatisfy { (1...512).contains($0.utf8.count) })
    #expect(messages.allSatisfy { $0.split(separator: "\t").allSatisfy { $0.displayWidth <= 60 } })
    #expect(messages.joined().replacing("\t", with: "") == "before\(line)after")
  }

  @Test func aLineIsBrokenAtBlanks() {
    let words = (0..<300).map { "word\($0)" }
    let messages = LoginDialogue.messages(words.joined(separator: " "))
    #expect(messages.count > 1 && messages.allSatisfy { $0.utf8.count <= 512 })
    #expect(messages.flatMap { $0.split { $0 == " " || $0 == "\t" }.map(String.init) } == words)
  }

  @Test func aURIStaysInOnePiece() {
    let uri = "URI: otpauth://totp/" + String(repeating: "x", count: 200)
    #expect(LoginDialogue.messages(uri) == [uri])
  }

  @Test func aQuestionContainsTheMessages() {
    let question = LoginDialogue.question("Code: ", after: ["one\n", "\ntwo\nthree\n"], limit: 512)
    #expect(question == "one\ttwo\tthree\tCode: ")
    #expect(LoginDialogue.question("Code: ", after: [], limit: 512) == "Code: ")
  }

  @Test func aQuestionThatWouldBeTooLongLosesTheFirstMessages() {
    let messages = [String(repeating: "a", count: 40), String(repeating: "b", count: 40)]
    #expect(LoginDialogue.question("Code: ", after: messages, limit: 87).utf8.count == 47)
    #expect(LoginDialogue.question("Code: ", after: messages, limit: 88).utf8.count == 88)
  }

  @Test func aReasonIsShownAsSentences() {
    let error = SetupError(.refused, "two-factor login stays off", hint: "try again")
    #expect(error.sentences == "Two-factor login stays off. Try again.")
  }
}
