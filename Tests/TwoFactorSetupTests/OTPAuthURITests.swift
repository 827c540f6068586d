import Enrollment
import KeyFormats
import OneTimePassword
import Testing

@testable import TwoFactorSetup

@Suite struct OTPAuthURITests {
  private func uri(
    issuer: String = "host", account: String = "alice", kind: Device.Kind = .totp(period: 30),
    algorithm: HashAlgorithm = .sha1, digits: CodeDigits = .six
  ) -> String {
    let device = DeviceParameters(name: "phone", kind: kind, algorithm: algorithm, digits: digits)
    return OTPAuthURI(device: device, key: "JBSWY3DPEHPK3PXP", issuer: issuer, account: account).text
  }

  @Test func defaultsAreLeftOut() {
    #expect(uri() == "otpauth://totp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host")
  }

  @Test func whatDiffersFromTheDefaultsIsSaid() {
    #expect(
      uri(kind: .totp(period: 60), algorithm: .sha512, digits: .eight)
        == "otpauth://totp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host&algorithm=SHA512&digits=8&period=60")
  }

  @Test func aCounterIsAlwaysSaid() {
    #expect(
      uri(kind: .hotp(counter: 0)) == "otpauth://hotp/host:alice?secret=JBSWY3DPEHPK3PXP&issuer=host&counter=0")
  }

  @Test func whatURIsReserveIsEncoded() {
    #expect(
      uri(issuer: "Big Corp & Söhne", account: "al/ice@x?y#z%")
        == "otpauth://totp/Big%20Corp%20%26%20S%C3%B6hne:al%2Fice%40x%3Fy%23z%25?secret=JBSWY3DPEHPK3PXP"
        + "&issuer=Big%20Corp%20%26%20S%C3%B6hne")
  }

  @Test(arguments: [
    "", "a:b", "a:\u{301}", " \u{301}a", " a", "a ", "a\nb", "a\u{202E}b", String(repeating: "x", count: 129),
  ])
  func namesThatALabelCannotHoldAreRefused(text: String) {
    #expect(!OTPAuthURI.isValidLabelPart(text))
  }

  @Test func anyNameIsMadeFitForALabel() {
    #expect(OTPAuthURI.labelPart("a:b") == "ab")
    #expect(OTPAuthURI.labelPart(":") == "twofactor")
  }
}
