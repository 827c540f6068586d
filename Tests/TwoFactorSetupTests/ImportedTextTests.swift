import FixedMemory
import KeyFormats
import Testing

@Suite struct ImportedTextTests {
  /// Nil if the bytes are usable as they are.
  private func decoded(_ bytes: [UInt8]) throws -> [UInt8]? {
    guard let text = try ImportedText.decoded(bytes.span) else { return nil }
    let span = text.bytes
    return span.indices.map { span[$0] }
  }

  private func utf16(_ text: String, isBigEndian: Bool) -> [UInt8] {
    text.utf16.flatMap { isBigEndian ? [UInt8($0 >> 8), UInt8($0 & 0xFF)] : [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
  }

  @Test(arguments: ["", "otpauth://totp/x", "\n", "é", "aé𝄞"])
  func textWithAByteOrderMarkBecomesUTF8(text: String) throws {
    #expect(try decoded([0xEF, 0xBB, 0xBF] + Array(text.utf8)) == Array(text.utf8))
    #expect(try decoded([0xFF, 0xFE] + utf16(text, isBigEndian: false)) == Array(text.utf8))
    #expect(try decoded([0xFE, 0xFF] + utf16(text, isBigEndian: true)) == Array(text.utf8))
  }

  @Test(arguments: [false, true]) func utf16WithoutAByteOrderMarkIsDetected(isBigEndian: Bool) throws {
    for text in ["otpauth://totp/Söhne𝄞?secret=x\r\n", "ab"] {
      #expect(try decoded(utf16(text, isBigEndian: isBigEndian)) == Array(text.utf8))
    }
  }

  @Test(arguments: [
    "", "a", "otpauth://totp/x", "a\0", "a\0b", "a\0\0\0", "\0\0\0\0", "\u{FE}\u{FF}", "\0abc", "日本語のテキスト",
  ])
  func otherTextStaysAsItIs(text: String) throws {
    #expect(try decoded(Array(text.utf8)) == nil)
    #expect(try decoded([0x53, 0xF6, 0x68, 0x6E, 0x65, 0xFF]) == nil)
  }

  @Test(arguments: [
    ([0xFF, 0xFE, 0x41] as [UInt8], "the text is invalid UTF-16"),
    ([0xFE, 0xFF, 0xD8, 0], "the text is invalid UTF-16"),
    ([0xFE, 0xFF, 0xDC, 0, 0, 0x41], "the text is invalid UTF-16"),
    ([0xFF, 0xFE, 0, 0, 0x41, 0, 0, 0], "text in UTF-32 is not supported"),
    ([0, 0, 0xFE, 0xFF, 0, 0, 0, 0x41], "text in UTF-32 is not supported"),
  ])
  func invalidTextIsRejected(bytes: [UInt8], words: String) {
    let problem = #expect(throws: FormatProblem.self) { try decoded(bytes) }
    #expect(problem?.message == words)
  }
}
