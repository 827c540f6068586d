import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword
import Testing

/// The ciphertexts come from Python's cryptography. The pre-shared key is a0a1a2…, the MAC key 404142…5f.
@Suite struct PSKCEncryptionTests {
  private static let presharedKey = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
  private static let key16 = String(presharedKey.prefix(32))
  private static let macKey =
    "EA8ODQwLCgkIBwYFBAMCASivFGR6u8/WOsdFQnFCzZCrYt4E7bcfu1nlddR7FOToAvGDXMMFpJKCRZbD4/uhMA=="
  private static let secret = "AQIDBAUGBwgJCgsMDQ4PEDCTtSX/eUs3Q6g83UI1AlzvhNwMuJK2Vlpd499ZY4r8"
  private static let mac = "2Dzg5idCRjrXWTm0ksHXkHGOFPw="

  struct Sample {
    let cipher: String
    let length: Int
    let digest: String
    let macKey: String
    let secret: String
    let mac: String
  }

  private func container(_ data: String, method: String = PSKCSample.macMethod(macKey)) -> String {
    PSKCSample.container(
      PSKCSample.named + method + PSKCSample.package("urn:ietf:params:xml:ns:keyprov:pskc:hotp", data: data))
  }

  @Test(arguments: [
    Sample(cipher: "aes128-cbc", length: 16, digest: "hmac-sha1", macKey: macKey, secret: secret, mac: mac),
    Sample(
      cipher: "aes192-cbc", length: 24, digest: "hmac-sha224",
      macKey: "EA8ODQwLCgkIBwYFBAMCATqGyt8VAaUzg7ey7jYjS9CL7cSy8zMq4PLEXAWvU+MvT0OQs94yW9WYmLs/M8VM8g==",
      secret: "AQIDBAUGBwgJCgsMDQ4PELCiuv8yWZb5UD4YGDmX9Kkzs1XDEDo7mT+XhyKG3+cd",
      mac: "1YyOuOF7I8cWGdQk3Pp3rm70sbjSzCFUJofKsw=="),
    Sample(
      cipher: "aes256-cbc", length: 32, digest: "hmac-sha256",
      macKey: "EA8ODQwLCgkIBwYFBAMCAaRMOE/65kiTo9t9Fi/w+EDwaznCPmjyEoH9pYOhleBAiKBrzOnjIlroP03fawsXgg==",
      secret: "AQIDBAUGBwgJCgsMDQ4PEFHCEX9Usb2IZxU9RcTPwDrv+QZQraEZ+PJnuRQLJhMu",
      mac: "6/GXwQEn6jGojbnMRZbHhnnqEgc9HdmsAKTMKR5vCXA="),
    Sample(
      cipher: "aes256-cbc", length: 32, digest: "hmac-sha384",
      macKey: "EA8ODQwLCgkIBwYFBAMCAaRMOE/65kiTo9t9Fi/w+EDwaznCPmjyEoH9pYOhleBAiKBrzOnjIlroP03fawsXgg==",
      secret: "AQIDBAUGBwgJCgsMDQ4PEFHCEX9Usb2IZxU9RcTPwDrv+QZQraEZ+PJnuRQLJhMu",
      mac: "tbJIV97hmOERJBnv4WoQmwGZQhEN+dgeLMwgAnSZFDrFdiU4aWdtU7giHDjjShD2"),
    Sample(
      cipher: "tripledes-cbc", length: 24, digest: "hmac-sha512",
      macKey: "CAcGBQQDAgFdRm1/gkSBgYzoE68vrWDtkiErjvJFFK0wjuDmg7UXxITYMOnEIWYF",
      secret: "AQIDBAUGBwjlZ6KA3+XrqJopMlJTm+iFfhEleV2VISE=",
      mac: "8eS9Bj1PcXloxtWOYwmEe2YeEATvegn+y1I0CoSwuKKdx3hEjDje/4ECfL7Lap9NDy5+r2/QTGQ6aFwY/D0PLw=="),
  ])
  func keysAreDecryptedAfterTheirMACIsChecked(sample: Sample) throws {
    let cipher = "http://www.w3.org/2001/04/xmlenc#\(sample.cipher)"
    let text = container(
      PSKCSample.encrypted("Secret", sample.secret, mac: sample.mac, cipher: cipher),
      method: PSKCSample.macMethod(sample.macKey, digest: sample.digest, cipher: cipher))
    let device = try PSKCSample.device(text, answer: String(Self.presharedKey.prefix(2 * sample.length)))
    #expect(device.key.base32 == PSKCSample.key)
  }

  /// RFC 3394, and with the padding of RFC 5649.
  @Test(arguments: [
    ("kw-aes128", 16, "WGCGzRs3C1x4iF0xV1bX4afMtnMfvmINbWu0Zy40zyA="),
    ("kw-aes192", 24, "xSc+X/08NIKI/0p3WUPpIi4YIo+MZhPt8ZOyJyCR8pk="),
    ("kw-aes256", 32, "0MegM23lqCxLat++KdKoDoLf2RQga57n5trGpU0XIy4="),
    ("kw-aes128", 16, "h07rO3zbByxqq70VUNgiua0cY8vIyLGYttcSAP0KXCA="),
    ("kw-aes256", 32, "+XDO9OY/l8WE5/TFuDetkYhhB+jCMc6XsDL/VjEJ8fI="),
  ])
  func wrappedKeysNeedNoMAC(cipher: String, length: Int, secret: String) throws {
    let value = PSKCSample.encrypted(
      "Secret", secret, mac: nil, cipher: "http://www.w3.org/2001/04/xmlenc#\(cipher)")
    let device = try PSKCSample.device(
      container(value, method: ""), answer: String(Self.presharedKey.prefix(2 * length)))
    #expect(device.key.base32.hasPrefix(PSKCSample.key.prefix(24)))
    let wrong = String(Self.presharedKey.reversed().prefix(2 * length))
    #expect(
      try PSKCSample.problem(container(value, method: ""), answer: wrong)
        == "the key does not fit: no MAC of the file is right")
  }

  @Test(arguments: [
    "A0A1A2A3A4A5A6A7A8A9AAABACADAEAF", "0xa0a1a2a3-a4a5a6a7 a8a9aaabacadaeaf", "oKGio6SlpqeoqaqrrK2urw==",
    "oKGio6SlpqeoqaqrrK2urw",
  ])
  func thePresharedKeyIsHexadecimalOrBase64(answer: String) throws {
    let text = container(PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac))
    #expect(try PSKCSample.device(text, answer: answer).key.base32 == PSKCSample.key)
  }

  @Test func theQuestionNamesTheKeyAndIsAskedOnce() throws {
    let package = PSKCSample.package(
      "HOTP",
      data: PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac)
        + PSKCSample.encrypted(
          "Counter", "AQIDBAUGBwgJCgsMDQ4PELX7jdmTH/fOIhW3a2m3j8U=", mac: "hzhFL1vxltG+mLZOPdJ1SOtrEwM="))
    let text = PSKCSample.container(PSKCSample.named + PSKCSample.macMethod(Self.macKey) + package + package)
    var reading = KeyFileReading(now: PSKCSample.now)
    var questions = 0
    reading.unlock = { lock in
      guard case .presharedKey(16, "Example key") = lock else { throw Missing(what: "name of the key") }
      questions += 1
      return try typed(Self.key16)
    }
    let entries = try KeyFileFormat.pskc.entries(of: text.utf8.span, reading)
    #expect(try entries.map { try $0.device.get().kind } == [.hotp(counter: 42), .hotp(counter: 42)])
    #expect(questions == 1)
  }

  @Test func encryptedNumbersAreBinaryOrDecimal() throws {
    let decimal = PSKCSample.encrypted(
      "Counter", "AQIDBAUGBwgJCgsMDQ4PELDhwutlVgq2S2yS6ZcyQxk=", mac: "KsIE4iZshZnJCsEnOflsX9L8J5o=")
    let text = container(PSKCSample.plainSecret + decimal)
    #expect(try PSKCSample.device(text, answer: Self.key16).kind == .hotp(counter: 42))
    let clock =
      PSKCSample.plainSecret
      + PSKCSample.encrypted(
        "TimeDrift", "AQIDBAUGBwgJCgsMDQ4PEH57V8WFAeLr53+Z9tY3C9M=", mac: "R9ZAo1AH45UH71wrpK008iAE5V0=")
      + PSKCSample.encrypted(
        "TimeInterval", "AQIDBAUGBwgJCgsMDQ4PENh+btOHOwFCIDwJCENMeoc=", mac: "yChtzXzS4t9cbx37lSMpBH5S3gY=")
    let device = try PSKCSample.device(
      PSKCSample.container(
        PSKCSample.named + PSKCSample.macMethod(Self.macKey) + PSKCSample.package("TOTP", data: clock)),
      answer: Self.key16)
    #expect(device.kind == .totp(period: 60) && device.clockOffset == -3)
  }

  /// Older files have no MACKey.
  @Test func withoutAMACKeyTheEncryptionKeyIsUsed() throws {
    let text = container(
      PSKCSample.encrypted("Secret", Self.secret, mac: "EBBzdp5Zmp9W2T/uqE+DHjthb04="),
      method: PSKCSample.macMethod(nil))
    #expect(try PSKCSample.device(text, answer: Self.key16).key.base32 == PSKCSample.key)
  }

  @Test func aWrongMACConcernsItsKeyAlone() throws {
    let wrong = "3" + Self.mac.dropFirst()
    let packages = [Self.mac, wrong].map {
      PSKCSample.package("HOTP", data: PSKCSample.encrypted("Secret", Self.secret, mac: $0))
    }
    let entries = try PSKCSample.entries(
      PSKCSample.container(PSKCSample.named + PSKCSample.macMethod(Self.macKey) + packages.joined()),
      answer: Self.key16)
    #expect(throws: Never.self) { try entries[0].device.get() }
    guard case .failure(let problem) = entries[1].device else { throw Missing(what: "problem") }
    #expect(problem.text == "its ValueMAC is wrong: the file was changed or damaged")
  }

  @Test func aWrongKeyIsNoted() throws {
    let text = container(PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac))
    for digit in "0123456789abcdef" {
      #expect(
        try PSKCSample.problem(text, answer: String(repeating: digit, count: 32))
          == "the key does not fit: no MAC of the file is right")
    }
  }

  @Test func aKeyOfAnotherLengthEndsTheImport() throws {
    let package = PSKCSample.package("HOTP", data: PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac))
    let text = PSKCSample.container(PSKCSample.named + PSKCSample.macMethod(Self.macKey) + package + package)
    #expect(
      throws: FormatProblem("the key must have 16 bytes: 32 hexadecimal digits, or Base64"),
      performing: { try PSKCSample.entries(text, answer: "a0a1") })
  }

  @Test func aCiphertextWithoutMACIsRejected() throws {
    let text = container(PSKCSample.encrypted("Secret", Self.secret, mac: nil))
    #expect(
      try PSKCSample.problem(text, answer: Self.key16)
        == "Secret is encrypted without a ValueMAC, so a wrong key or a changed file would go unnoticed")
    #expect(
      try PSKCSample.problem(
        container(PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac), method: ""), answer: Self.key16)
        == "ValueMAC needs a MACMethod, which is missing")
  }

  @Test(arguments: [
    ("http://www.w3.org/2001/04/xmlenc#rsa_1_5", "the encryption rsa_1_5 is not supported"),
    ("http://www.w3.org/2001/04/xmldsig-more#camellia128-cbc", "the encryption camellia128-cbc is not supported"),
  ])
  func otherCiphersAreRejectedByName(cipher: String, problem: String) throws {
    let text = container(PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac, cipher: cipher))
    #expect(try PSKCSample.problem(text, answer: Self.key16) == problem)
  }

  @Test func truncatedCiphertextsAreRejected() throws {
    for secret in ["", "AQID", "AQIDBAUGBwgJCgsMDQ4PEA==", String(Self.secret.prefix(28))] {
      let value = PSKCSample.encrypted("Secret", secret, mac: Self.mac)
      #expect(try PSKCSample.problem(container(value), answer: Self.key16) != nil)
    }
  }

  @Test func certificatesAreRejectedByName() throws {
    let text = PSKCSample.container(
      "<EncryptionKey><ds:X509Data/></EncryptionKey>"
        + PSKCSample.package(data: PSKCSample.encrypted("Secret", Self.secret, mac: Self.mac)))
    #expect(try PSKCSample.problem(text) == "the keys are encrypted for a certificate, which is not supported")
  }

  /// The values of figures 6 and 7 of RFC 6030.
  @Test func theExamplesOfTheStandardAreRead() throws {
    let encrypted = container(
      PSKCSample.encrypted(
        "Secret", "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv",
        mac: "Su+NvtQfmvfJzF6bmQiJqoLRExc="),
      method: PSKCSample.macMethod("ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX"))
    #expect(
      try PSKCSample.device(encrypted, answer: "12345678901234567890123456789012").key.base32 == PSKCSample.key)
    let derived = Self.derived(
      salt: "Ej7/PEpyEpw=", macKey: "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx",
      secret: "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f", mac: "LP6xMvjtypbfT9PdkJhBZ+D6O4w=")
    #expect(try PSKCSample.device(derived, answer: "qwerty").key.base32 == PSKCSample.key)
    #expect(
      try PSKCSample.problem(derived, answer: "Qwerty") == "the passphrase does not fit: no MAC of the file is right")
  }

  @Test func anotherFunctionAndBlanksInThePassphraseAreUsed() throws {
    let text = Self.derived(
      salt: "c2FsdHNhbHRzYWx0", function: #"<PRF Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/>"#,
      macKey: "EA8ODQwLCgkIBwYFBAMCAVl0ZUtPXfMYyvJAE8x3eexziwREzvtvnMyzajdz2DX7TK8U+lzCekV15ZE2YYgrYQ==",
      secret: "AQIDBAUGBwgJCgsMDQ4PEK9/eSc/XxnZkR3S0VpN0ddYqYMAOFIisaH5tzeRtu/5", mac: "splM7eg0/8oVXs4ZIjR2VfMT/24=")
    #expect(try PSKCSample.device(text, answer: "pass ward \u{E9}").key.base32 == PSKCSample.key)
  }

  @Test(arguments: [
    ("c2FsdA==", "10000001", "", "an IterationCount above 10000000 is not supported"),
    ("c2FsdA==", "0", "", "PBKDF2-params lack Salt or IterationCount"),
    ("c2FsdA==", "1000", "<KeyLength>32</KeyLength>", "KeyLength does not fit the cipher, whose key has 16 bytes"),
    ("c2FsdA==", "1000", #"<PRF Algorithm="hmac-md5"/>"#, "the algorithm hmac-md5 of PRF is not supported"),
    ("?", "1000", "", "Specified is not Base64"),
  ])
  func unusableDerivationsAreRejected(salt: String, count: String, rest: String, problem: String) throws {
    let text = Self.derived(
      salt: salt, iterations: count, function: rest, macKey: Self.macKey, secret: Self.secret, mac: Self.mac)
    #expect(try PSKCSample.problem(text, answer: "x") == problem)
  }

  private static func derived(
    salt: String, iterations: String = "1000", function: String = "<PRF/>", macKey: String, secret: String,
    mac: String
  ) -> String {
    PSKCSample.container(
      """
      <EncryptionKey><x:DerivedKey xmlns:x="http://www.w3.org/2009/xmlenc11#">
        <x:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2">
        <p:PBKDF2-params xmlns:p="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#">
          <Salt><Specified>\(salt)</Specified></Salt><IterationCount>\(iterations)</IterationCount>\(function)
        </p:PBKDF2-params></x:KeyDerivationMethod></x:DerivedKey></EncryptionKey>
      """ + PSKCSample.macMethod(macKey)
        + PSKCSample.package("HOTP", data: PSKCSample.encrypted("Secret", secret, mac: mac)))
  }
}
