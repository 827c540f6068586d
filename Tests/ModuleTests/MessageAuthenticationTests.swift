import Testing

@testable import OneTimePassword

/// Both implementations of HMAC, whichever of them ``SharedSecret`` uses in this build.
@Suite struct MessageAuthenticationTests {
  @Test(arguments: TOTPTests.table)
  func bothMatchRFC6238(row: (seconds: Int64, sha1: UInt32, sha256: UInt32, sha512: UInt32)) throws {
    let step = try #require(TimeStep(at: row.seconds, period: 30)).rawValue
    for (algorithm, expected) in [(HashAlgorithm.sha1, row.sha1), (.sha256, row.sha256), (.sha512, row.sha512)] {
      let key = rfc6238Secret(algorithm)
      let values = (
        value(by: DigestHMAC.self, key, algorithm, at: step), value(by: LibraryHMAC.self, key, algorithm, at: step)
      )
      #expect(values.0.map { $0 % 100_000_000 } == expected)
      #expect(values.1 == values.0)
    }
  }

  @Test(arguments: zip(UInt64(0)...9, HOTPTests.table))
  func bothMatchRFC4226(counter: UInt64, expected: (truncated: UInt32, code: UInt32)) {
    let key = Array("12345678901234567890".utf8)
    #expect(value(by: DigestHMAC.self, key, .sha1, at: counter) == expected.truncated)
    #expect(value(by: LibraryHMAC.self, key, .sha1, at: counter) == expected.truncated)
  }

  @Test(arguments: [HashAlgorithm.sha1, .sha256, .sha512])
  func bothAgreeForKeysOfEveryLength(algorithm: HashAlgorithm) {
    for length in SharedSecret.lengths {
      let key = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7 + length) }
      let ours = value(by: DigestHMAC.self, key, algorithm, at: UInt64(length))
      #expect(ours != nil)
      #expect(ours == value(by: LibraryHMAC.self, key, algorithm, at: UInt64(length)), "\(length) bytes")
    }
  }

  private func value<HMAC: MessageAuthentication & ~Copyable>(
    by _: HMAC.Type, _ key: [UInt8], _ algorithm: HashAlgorithm, at factor: UInt64
  ) -> UInt32? {
    guard let hmac = HMAC(key: key.span, algorithm: algorithm) else { return nil }
    // An earlier computation must not matter.
    _ = hmac.truncatedValue(at: ~factor)
    return hmac.truncatedValue(at: factor)
  }
}
