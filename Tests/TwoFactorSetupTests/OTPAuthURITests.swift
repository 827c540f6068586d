import Enrollment
import KeyFormats
import OneTimePassword
import Testing

@testable import TwoFactorSetup

@Suite struct OTPAuthURITests {
  private func uri(
    issuer: String = "host", account: String = "alice", kind: Device.Kind = .totp(period: 30),
    algorithm: HashAlgorithm = .sha1, digits: CodeDigits = .six
  ) throws -> String {
    let key = try SharedKey(base32: "JBSWY3DPEHPK3PXP".utf8.span)
    var device = DeviceDraft(key: key, kind: kind, algorithm: algorithm, digits: digits)
    (device.issuer, device.account) = (issuer, account)
    return device.uri
  }

  @Test func defaultsAreOmitted() throws {
    #expect(try uri() == "otpauth://totp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host")
  }

  @Test func otherValuesAreIncluded() throws {
    #expect(
      try uri(kind: .totp(period: 60), algorithm: .sha512, digits: .eight)
        == "otpauth://totp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host&algorithm=SHA512&digits=8&period=60")
  }

  @Test func aLongIssuerIsIncludedOnce() throws {
    let host = "ip-10-123-123-123.ap-southeast-2.compute.internal"
    #expect(try uri(issuer: host) == "otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&issuer=\(host)")
    // Twice up to 134 bytes.
    let longest = String(repeating: "h", count: 40)
    #expect(try uri(issuer: longest).utf8.count == 133)
    #expect(try uri(issuer: longest).hasPrefix("otpauth://totp/\(longest):alice?"))
    #expect(try uri(issuer: longest, account: "alice.a").hasPrefix("otpauth://totp/alice.a?"))
  }

  @Test func theCounterIsAlwaysIncluded() throws {
    #expect(
      try uri(kind: .hotp(counter: 0)) == "otpauth://hotp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host&counter=0")
  }

  @Test func reservedCharactersAreEncoded() throws {
    #expect(
      try uri(issuer: "Big Corp & Söhne", account: "al/ice@x?y#z%")
        == "otpauth://totp/Big%20Corp%20%26%20S%C3%B6hne:al%2Fice%40x%3Fy%23z%25?secret=JBSWY3DPEHPK3PXP"
        + "&issuer=Big%20Corp%20%26%20S%C3%B6hne")
  }

  @Test(arguments: [
    "", "a:b", "a:\u{301}", " \u{301}a", " a", "a ", "a\nb", "a\u{202E}b", String(repeating: "x", count: 129),
  ])
  func invalidLabelPartsAreRejected(text: String) {
    #expect(!OTPAuthURI.isValidLabelPart(text))
  }

  @Test func anyNameCanBecomeALabelPart() {
    #expect(OTPAuthURI.labelPart("a:b") == "ab")
    #expect(OTPAuthURI.labelPart(":") == "twofactor")
  }
}
