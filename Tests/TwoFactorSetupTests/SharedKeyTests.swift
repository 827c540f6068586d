import KeyFormats
import Testing

@Suite struct SharedKeyTests {
  private let canonical = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

  private func problem(_ read: () throws -> SharedKey) -> String? {
    do {
      _ = try read()
      return nil
    } catch {
      return (error as? FormatProblem)?.message
    }
  }

  @Test(arguments: [
    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
    "gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq", "\tGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ ====",
  ])
  func base32IsParsedAsPeopleWriteIt(text: String) throws {
    #expect(try SharedKey(base32: text.utf8.span).base32 == canonical)
  }

  @Test func trailingBitsAreIgnored() throws {
    // 26 characters are 16 bytes and two bits, which some programs fill.
    #expect(try SharedKey(base32: "ABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8.span).base32 == "ABCDEFGHIJKLMNOPQRSTUVWXYY")
  }

  @Test func digitsAreReadAsLettersOnlyOnRequest() throws {
    let text = "018018018018018018018018".utf8.span
    #expect(try SharedKey(base32: text, readsDigitsAsLetters: true).base32 == "OLBOLBOLBOLBOLBOLBOLBOLB")
    #expect(problem { try SharedKey(base32: "018018018018018018018018".utf8.span) } == "the key is not Base32")
  }

  @Test(arguments: [
    ("", "the key is empty"), ("====", "the key is empty"), ("AB=CDEFGHIJKLMNOPQ", "the key is not Base32"),
    ("ABCDEFGHIJKLMN!P", "the key is not Base32"), ("ÄBCDEFGHIJKLMNOP", "the key is not Base32"),
    ("ABCDEFGHIJKLMNO", "the key has 9 bytes, which is too short to be safe; the minimum is 10"),
    (String(repeating: "A", count: 207), "the key is longer than 128 bytes"),
  ])
  func invalidBase32IsRejected(text: String, words: String) {
    #expect(problem { try SharedKey(base32: text.utf8.span) } == words)
  }

  @Test(arguments: [
    "3132333435363738393031323334353637383930", "31:32:33:34:35:36:37:38:39:30:31:32:33:34:35:36:37:38:39:30",
    "3132333435 3637383930 3132333435 3637383930",
  ])
  func hexadecimalIsParsedAsPeopleWriteIt(text: String) throws {
    #expect(try SharedKey(hexadecimal: text.utf8.span).base32 == canonical)
  }

  @Test(arguments: [
    ("", "the key is empty"), ("313", "the key has an odd number of hexadecimal digits"),
    ("31323334353637383g30", "the key is not hexadecimal"),
    ("313233", "the key has 3 bytes, which is too short to be safe; the minimum is 10"),
    (String(repeating: "0", count: 258), "the key is longer than 128 bytes"),
  ])
  func invalidHexadecimalIsRejected(text: String, words: String) {
    #expect(problem { try SharedKey(hexadecimal: text.utf8.span) } == words)
  }

  @Test(arguments: [
    ("3132333435363738393031323334353637383930", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("0x3132333435363738393031323334353637383930", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("HEX:2222222222222222222222", "EIRCEIRCEIRCEIRCEI"), ("base32:2222222222222222", "2222222222222222"),
    ("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("base64:MTIzNDU2Nzg5MDEyMzQ1Njc4OTA", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    ("base64:gezdgnbvgy3tqojq", "QHWN3ATW56BS33NKRDVA"), ("-_-_-_-_-_-_-_-_aA+/bB", "7P737677X7577P73767WQD57NQ"),
    ("0a1B3c3D3a3B3c3D3a3B3c3D", "BINTYPJ2HM6D2OR3HQ6Q"),
  ])
  func theEncodingOfATypedKeyIsDetected(text: String, key: String) throws {
    #expect(try SharedKey.typed(text.utf8.span).base32 == key)
  }

  @Test(arguments: [
    ("2222222222222222", "the key is valid both as Base32 and as hexadecimal"),
    ("0G", "the key is neither Base32 nor hexadecimal nor Base64"), ("", "the key is empty"),
    // Base32 with a zero for the letter O is Base64 too.
    ("GEZDGNBVGY3TQ0JQ", "the key is neither Base32 nor hexadecimal nor Base64"),
    ("Gezdgnbvgy3tq0jq", "the key is neither Base32 nor hexadecimal nor Base64"),
    ("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA-=", "the key is neither Base32 nor hexadecimal nor Base64"),
    ("Gezdgnbvgy3tqojq", "the key is valid both as Base32 and as Base64"),
    ("abcdEFGHijklMNOPqrst", "the key is valid both as Base32 and as Base64"),
    ("base64:", "the key is empty"), ("base64:A", "the key is not Base64"), ("base64:AAA=A", "the key is not Base64"),
    ("base64:MTIzNDU2", "the key has 6 bytes, which is too short to be safe; the minimum is 10"),
    ("hex:", "the key is empty"), ("base32:0x", "the key is not Base32"),
  ])
  func anAmbiguousOrInvalidTypedKeyIsRejected(text: String, words: String) {
    #expect(problem { try SharedKey.typed(text.utf8.span) } == words)
  }

  @Test func problemsDoNotQuoteTheKey() {
    for text in ["ABCDEFGHIJKLMN!P", "SECRET0", "hex:313233g", String(repeating: "Q", count: 300)] {
      let words = problem { try SharedKey.typed(text.utf8.span) } ?? ""
      #expect(!words.isEmpty && !words.contains("SECRET") && !words.contains("ABC") && !words.contains("QQQ"))
    }
  }
}
