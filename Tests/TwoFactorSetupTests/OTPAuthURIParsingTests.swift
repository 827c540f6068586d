import Enrollment
import KeyFormats
import OneTimePassword
import Testing

@Suite struct OTPAuthURIParsingTests {
  private func parse(_ text: String) throws -> OTPAuthURI { try OTPAuthURI(parsing: text.utf8.span) }

  private func problem(_ text: String) -> String? {
    do {
      _ = try OTPAuthURI(parsing: text.utf8.span)
      return nil
    } catch {
      return error.message
    }
  }

  @Test(arguments: [Device.Kind.totp(period: 30), .totp(period: 60), .hotp(counter: 0), .hotp(counter: 77)])
  func aRenderedURIParsesToTheSameDevice(kind: Device.Kind) throws {
    for algorithm in [HashAlgorithm.sha1, .sha256, .sha512] {
      for digits in [CodeDigits.six, .eight] {
        let key = try SharedKey(base32: "GEZDGNBVGY3TQOJQ".utf8.span)
        var device = DeviceDraft(key: key, kind: kind, algorithm: algorithm, digits: digits)
        (device.issuer, device.account) = ("Big Corp & Söhne", "al/ice@x?y#z%+")
        let parsed = try parse(device.uri)
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
  func theLabelIsParsedAsInApps(text: String, issuer: String?, account: String?) throws {
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
  func theKeyIsParsedAsAppsWriteIt(query: String) throws {
    #expect(try parse("otpauth://totp/x?\(query)").device.key.base32 == "GEZDGNBVGY3TQOJQ")
  }

  @Test func ignoredParametersAreListed() throws {
    let parsed = try parse("otpauth://totp/x?image=http%3A%2F%2Fx&secret=GEZDGNBVGY3TQOJQ&lock=1&lock=2&a%0A=1&=&x")
    #expect(parsed.otherParameters == ["image", "lock", "x"])
  }

  @Test(arguments: [
    ("", "it is not an otpauth URI"), ("otpauth://", "it is not an otpauth URI"),
    ("http://x", "it is not an otpauth URI"),
    ("otpauth-migration://offline?data=x", "exports of several accounts are not supported"),
    ("otpauth://steam/x?secret=KEY", "the URI must begin with otpauth://totp/ or otpauth://hotp/"),
    ("otpauth://totp/x", "the URI has no secret"), ("otpauth://totp/x?secret=", "the key is empty"),
    ("otpauth://totp/x?secret=KEY&secret=KEY", "the parameter secret is repeated"),
    ("otpauth://totp/x?secret=KEY0", "the key is not Base32"),
    ("otpauth://totp/x?secret=KEY%4", "invalid percent-encoding"),
    ("otpauth://totp/%zz?secret=KEY", "invalid percent-encoding"),
    ("otpauth://totp/%ff?secret=KEY", "the label is not UTF-8"),
    ("otpauth://totp/x?secret=KEY&issuer=%ff", "the parameter issuer is not UTF-8"),
    ("otpauth://totp/x?secret=KEY&digits=7", "seven-digit codes are not supported, only six and eight digits"),
    ("otpauth://totp/x?secret=KEY&digits=-6", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&algorithm=MD5", "the algorithm must be SHA1, SHA256 or SHA512"),
    ("otpauth://totp/x?secret=KEY&period=10", "the period must be 15 to 300 seconds"),
    ("otpauth://totp/x?secret=KEY&period=99999999999999999999", "the period must be 15 to 300 seconds"),
    ("otpauth://hotp/x?secret=KEY&counter=-1", "the counter is out of range"),
    (
      "otpauth://hotp/x?secret=KEY&counter=18446744073709551615",
      "the counter is out of range"
    ),
  ])
  func invalidURIsAreRejectedWithAReason(text: String, words: String) {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: "GEZDGNBVGY3TQOJQ")
    #expect(problem(text) == words)
  }

  @Test func aMissingCounterIsZero() throws {
    let parsed = try parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ")
    #expect(parsed.lacksCounter && parsed.device.kind == .hotp(counter: 0))
    #expect(try !parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=0").lacksCounter)
    #expect(try !parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ").lacksCounter)
  }

  @Test func severalURIsAreParsedLineByLine() throws {
    let text = """
      # my accounts

      otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ
        otpauth://hotp/Big Corp: b ?secret=GEZDGNBVGY3TQOJQAAAA&counter=3\r
      """
    #expect(try OTPAuthURI.entries(of: text.utf8.span).map(\.account) == ["a", "b"])
    for text in ["", "#\n\n"] {
      let error = #expect(throws: FormatProblem.self) { try OTPAuthURI.entries(of: text.utf8.span) }
      #expect(error?.text == "it contains no URI")
    }
  }

  @Test func anUnusableLineDoesNotAffectTheOthers() throws {
    let entries = try OTPAuthURI.entries(of: "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ\notpauth://totp/b".utf8.span)
    #expect(entries.map { (try? $0.device.get()) != nil } == [true, false])
    #expect(throws: FormatProblem(line: 2, "the URI has no secret")) { try entries[1].device.get() }
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
  func theFormatIsDetected(text: String, format: KeyFileFormat?) {
    #expect(KeyFileFormat(of: text.utf8.span) == format)
  }
}
