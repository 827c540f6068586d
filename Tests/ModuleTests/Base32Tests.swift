import FixedMemory
import OneTimePassword
import Testing

@Suite struct Base32Tests {
  /// The test vectors of RFC 4648 section 10, without padding.
  @Test(
    arguments: [
      ("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"),
      ("foobar", "MZXW6YTBOI"),
    ])
  func encodingAndDecodingMatchRFC4648(bytes: String, text expected: String) throws {
    #expect(try encoded(Array(bytes.utf8)) == expected)
    #expect(try decoded(expected) == Array(bytes.utf8))
  }

  @Test func decodingReversesEncoding() throws {
    for length in 0..<130 {
      let bytes = (0..<length).map { _ in UInt8.random(in: .min ... .max) }
      #expect(try decoded(encoded(bytes)) == bytes)
    }
  }

  @Test(
    arguments: [
      "my", "MY======", "M Y", "MZXW6YT1", "mZXW6YTB", "MZXW6YTb", "MZXW=YTB", "MZXW6YT\u{c0}", "M1", "M0", "M8", "M",
      "MZX", "MZXW6Y", "MZ", "MZXR", "MZXW7", "MY\n", "M\u{0}", "МУ",
    ])
  func onlyTheCanonicalFormIsDecoded(text: String) throws {
    #expect(try decoded(text) == nil)
  }

  @Test func outputThatDoesNotFitIsRejected() throws {
    guard var small = SecretBuffer(capacity: 2), var smaller = SecretBuffer(capacity: 3) else {
      throw Missing(what: "memory")
    }
    let decodes = Base32.decode(Array("MZXW6".utf8).span, into: &small)
    let encodes = Base32.encode(Array("foo".utf8).span, into: &smaller)
    #expect(!decodes)
    #expect(!encodes)
  }

  private func encoded(_ bytes: [UInt8]) throws -> String? {
    guard var output = SecretBuffer(capacity: 400) else { throw Missing(what: "memory") }
    guard Base32.encode(bytes.span, into: &output) else { return nil }
    return ModuleTests.text(output.bytes)
  }

  private func decoded(_ text: String?) throws -> [UInt8]? {
    guard var output = SecretBuffer(capacity: 400), let text else { throw Missing(what: "memory or text") }
    guard Base32.decode(Array(text.utf8).span, into: &output) else { return nil }
    return array(output.bytes)
  }
}
