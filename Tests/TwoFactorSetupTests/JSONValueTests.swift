import Testing

@testable import TwoFactorSetup

@Suite struct JSONValueTests {
  @Test func membersKeepTheirOrder() {
    let value = JSONValue.object([("b", .number(-1)), ("a", .array([.null, .bool(true), .string("x")]))])
    #expect(value.text == #"{"b": -1, "a": [null, true, "x"]}"#)
  }

  @Test func charactersThatJSONForbidsAreEscaped() {
    #expect(JSONValue.string("a\"b\\c\n\r\t\u{1}\u{1B}").text == #""a\"b\\c\n\r\t\u0001\u001b""#)
  }

  @Test func controlCharactersOfTerminalsAreEscaped() {
    #expect(JSONValue.string("\u{7F}\u{9B}\u{2028}").text == #""\u007f\u009b\u2028""#)
  }

  @Test func otherTextIsUnchanged() {
    #expect(JSONValue.string("Zoë 🔑").text == "\"Zoë 🔑\"")
  }

  @Test func absentValuesAreNull() {
    #expect(JSONValue.time(nil).text == "null")
    #expect(JSONValue.optional(nil).text == "null")
  }
}
