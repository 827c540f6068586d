import Testing

@testable import OneTimePassword

/// The test vectors of RFC 4226, appendix D.
@Suite struct HOTPTests {
  private let secret = Array("12345678901234567890".utf8)

  static let table: [(truncated: UInt32, code: UInt32)] = [
    (1_284_755_224, 755_224), (1_094_287_082, 287_082), (137_359_152, 359_152), (1_726_969_429, 969_429),
    (1_640_338_314, 338_314), (868_254_676, 254_676), (1_918_287_922, 287_922), (82_162_583, 162_583),
    (673_399_871, 399_871), (645_520_489, 520_489),
  ]

  @Test(arguments: zip(UInt64(0)...9, table))
  func valuesMatchRFC4226(counter: UInt64, expected: (truncated: UInt32, code: UInt32)) throws {
    guard let key = SharedSecret(secret.span, algorithm: .sha1) else { throw Missing(what: "memory") }
    let truncated = key.truncatedValue(at: counter)
    let code = key.code(at: counter, digits: .six)
    #expect(truncated == expected.truncated)
    #expect(code == expected.code)
  }

  @Test func aKeyLongerThanABlockIsHashedFirst() throws {
    // RFC 2104 section 2: both keys have the same HMAC. The hash is the output of sha1sum(1).
    let long = [UInt8](repeating: UInt8(ascii: "a"), count: 65)
    let short: [UInt8] = [
      0x11, 0x65, 0x53, 0x26, 0xc7, 0x08, 0xd7, 0x03, 0x19, 0xbe, 0x26, 0x10, 0xe8, 0xa5, 0x7d, 0x9a, 0x5b, 0x95, 0x9d,
      0x3b,
    ]
    guard let one = SharedSecret(long.span, algorithm: .sha1), let other = SharedSecret(short.span, algorithm: .sha1)
    else { throw Missing(what: "memory") }
    for factor in UInt64(0)..<20 {
      let values = (one.truncatedValue(at: factor), other.truncatedValue(at: factor))
      #expect(values.0 == values.1)
    }
  }

  @Test func aSecretHasTheSameCodeEveryTime() throws {
    guard let key = SharedSecret(secret.span, algorithm: .sha512) else { throw Missing(what: "memory") }
    let first = key.code(at: .max, digits: .eight)
    _ = key.code(at: 0, digits: .eight)
    let second = key.code(at: .max, digits: .eight)
    #expect(first == second)
  }
}
