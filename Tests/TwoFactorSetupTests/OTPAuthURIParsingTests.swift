import Enrollment
import KeyFormats
import OneTimePassword
import Testing

@Suite struct OTPAuthURIParsingTests {
  private func parse(_ text: String) throws -> ParsedOTPAuthURI { try OTPAuthURI.parse(text.utf8.span) }

  private func problem(_ text: String) -> String? {
    do {
      _ = try OTPAuthURI.parse(text.utf8.span)
      return nil
    } catch {
      return error.message
    }
  }

  @Test(arguments: [Device.Kind.totp(period: 30), .totp(period: 60), .hotp(counter: 0), .hotp(counter: 77)])
  func whatIsWrittenIsReadAsItWas(kind: Device.Kind) throws {
    for algorithm in [HashAlgorithm.sha1, .sha256, .sha512] {
      for digits in [CodeDigits.six, .eight] {
        let parameters = DeviceParameters(name: "x", kind: kind, algorithm: algorithm, digits: digits)
        let text = OTPAuthURI(
          device: parameters, key: "GEZDGNBVGY3TQOJQ", issuer: "Big Corp & Söhne", account: "al/ice@x?y#z%+"
        ).text
        let parsed = try parse(text)
        #expect(parsed.device.kind == kind && parsed.device.algorithm == algorithm && parsed.device.digits == digits)
        #expect(parsed.device.key.base32 == "GEZDGNBVGY3TQOJQ" && parsed.otherParameters.isEmpty)
        #expect(parsed.device.issuer == "Big Corp & Söhne" && parsed.device.account == "al/ice@x?y#z%+")
      }
    }
  }

  @Test(arguments: [
    ("otpauth://totp/Example:alice@google.com?secret=KEY&issuer=Example", "Example", "alice@google.com"),
    ("otpauth://totp/Example%3A%20alice?secret=KEY", "Example", "alice"),
    ("otpauth://totp/alice?secret=KEY", nil, "alice"),
    ("otpauth://totp/Old:alice?secret=KEY&issuer=New", "New", "alice"),
    ("otpauth://totp/?secret=KEY", nil, nil),
    ("otpauth://totp?secret=KEY", nil, nil),
    ("OTPAUTH://TOTP/a:b:c?SECRET=KEY&Issuer=Big+Corp", "Big Corp", nil),
    ("otpauth://totp/a:%CC%81b%20?secret=KEY", "a", "\u{301}b"),
    ("otpauth://totp/%00:%E2%80%AE?secret=KEY&issuer=%0A", nil, nil),
  ])
  func theLabelIsReadAsAppsDo(text: String, issuer: String?, account: String?) throws {
    let device = try parse(
      text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: "GEZDGNBVGY3TQOJQ")
    ).device
    #expect(device.issuer == issuer && device.account == account)
    #expect(device.kind == .totp(period: 30) && device.algorithm == .sha1 && device.digits == .six)
  }

  @Test(arguments: [
    "secret=gezd%20gnbv%20gy3t%20qojq", "secret=GEZD-GNBV-GY3T-QOJQ", "secret=gezd+gnbv+gy3t+qojq%3D%3D%3D",
    "&&secret=GEZDGNBVGY3TQOJQ===&", "algorithm=HmacSHA1&digits=6&period=30&counter=x&secret=GEZDGNBVGY3TQOJQ",
    "secret=%47EZDGNBVGY3TQOJQ#fragment?secret=x",
  ])
  func theKeyIsReadAsAppsWriteIt(query: String) throws {
    #expect(try parse("otpauth://totp/x?\(query)").device.key.base32 == "GEZDGNBVGY3TQOJQ")
  }

  @Test func parametersThatSayNothingHereAreNamed() throws {
    let parsed = try parse("otpauth://totp/x?image=http%3A%2F%2Fx&secret=GEZDGNBVGY3TQOJQ&lock=1&lock=2&a%0A=1&=&x")
    #expect(parsed.otherParameters == ["image", "lock", "x"])
  }

  @Test(arguments: [
    ("", "it is not an otpauth URI"), ("otpauth://", "it is not an otpauth URI"),
    ("http://x", "it is not an otpauth URI"),
    ("otpauth-migration://offline?data=x", "it is an app's export of several accounts"),
    ("otpauth://steam/x?secret=KEY", "the URI is neither otpauth://totp/ nor otpauth://hotp/"),
    ("otpauth://totp/x", "the URI has no secret"), ("otpauth://totp/x?secret=", "there is no key"),
    ("otpauth://totp/x?secret=KEY&secret=KEY", "the parameter secret is there twice"),
    ("otpauth://totp/x?secret=KEY0", "the key is not Base32"),
    ("otpauth://totp/x?secret=KEY%4", "a % is not followed by two hexadecimal digits"),
    ("otpauth://totp/%zz?secret=KEY", "a % is not followed by two hexadecimal digits"),
    ("otpauth://totp/%ff?secret=KEY", "the label is not UTF-8"),
    ("otpauth://totp/x?secret=KEY&issuer=%ff", "the parameter issuer is not UTF-8"),
    ("otpauth://totp/x?secret=KEY&digits=7", "codes of seven digits are not supported, only of six and of eight"),
    ("otpauth://totp/x?secret=KEY&digits=-6", "codes of so many digits are not supported, only of six and of eight"),
    ("otpauth://totp/x?secret=KEY&algorithm=MD5", "the algorithm is none of SHA1, SHA256 and SHA512"),
    ("otpauth://totp/x?secret=KEY&period=10", "the period is not 15 to 300 seconds"),
    ("otpauth://totp/x?secret=KEY&period=99999999999999999999", "the period is not 15 to 300 seconds"),
    ("otpauth://hotp/x?secret=KEY&counter=-1", "the counter is not a number that a counter can have"),
    (
      "otpauth://hotp/x?secret=KEY&counter=18446744073709551615",
      "the counter is not a number that a counter can have"
    ),
  ])
  func whatCannotBeUsedIsNamed(text: String, words: String) {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: "GEZDGNBVGY3TQOJQ")
    #expect(problem(text) == words)
  }

  @Test func aCounterThatIsNotNamedBeginsAtZero() throws {
    let parsed = try parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ")
    #expect(parsed.lacksCounter && parsed.device.kind == .hotp(counter: 0))
    #expect(try !parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=0").lacksCounter)
    #expect(try !parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ").lacksCounter)
  }

  @Test func severalStandALineEach() throws {
    let text = """
      # my accounts

      otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ
        otpauth://hotp/Big Corp: b ?secret=GEZDGNBVGY3TQOJQAAAA&counter=3\r
      """
    #expect(try OTPAuthURI.parse(lines: text.utf8.span).map(\.device.account) == ["a", "b"])
    for (text, words) in [
      ("", "there is no URI in it"), ("#\n\n", "there is no URI in it"),
      ("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ\nx", "line 2: it is not an otpauth URI"),
    ] {
      let error = #expect(throws: FormatProblem.self) { try OTPAuthURI.parse(lines: text.utf8.span) }
      #expect(error?.text == words)
    }
  }
}

@Suite struct KeyFileFormatTests {
  @Test(arguments: [
    ("otpauth://totp/x", KeyFileFormat.uri), ("\n# mine\n  OTPAUTH://totp/x", .uri), ("otpauth-migration://x", .uri),
    ("HOTP/T30 alice - 3132", .oath), ("# HOTP\nusers of this host\nHOTP alice - 31 0", .oath),
    ("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH", .googleAuthenticator),
    ("gezd gnbv-gy3t qojq\r\n12345678\r\n\" x", .googleAuthenticator),
    ("HOTPHOTPHOTPHOTP\n\" HOTP_COUNTER 1", .googleAuthenticator), ("GEZDGNBVGY3TQOJQ\n12345678\n", nil), ("", nil),
    ("\n\n", nil), ("HOTP/T30 alice", nil),
    ("\nGEZDGNBVGY3TQOJQ", nil), ("twofactor-credential 1\n", nil), ("{\"secret\": 1}", nil), ("\0", nil),
  ])
  func aFormatIsKnownByItsLooks(text: String, format: KeyFileFormat?) {
    #expect(KeyFileFormat(of: text.utf8.span) == format)
  }
}
