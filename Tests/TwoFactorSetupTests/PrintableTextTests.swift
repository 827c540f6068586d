import HostAccess
import KeyFormats
import Testing

@testable import TwoFactorSetup

@Suite struct PrintableTextTests {
  @Test func whatATerminalWouldObeyIsShownAsAnEscape() {
    #expect("a\u{1B}[31mb\n".printable == "a\\u{1b}[31mb\\u{a}")
    #expect("\u{202E}\u{9B}".printable == "\\u{202e}\\u{9b}")
    #expect("Zoë 🔑".printable == "Zoë 🔑")
  }

  @Test func errorsAreOneLineWithAHintBelow() {
    let error = SetupError(.refused, "wrong\ncode", hint: "wait")
    #expect(error.text == "twofactor: wrong\\u{a}code\nhint: wait\n")
    #expect(error.json.text == #"{"error": "wrong\ncode", "hint": "wait"}"#)
    #expect(SetupError(.usage, "x").json.text == #"{"error": "x", "hint": null}"#)
  }
}
