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
    "secret=%47EZDGNBVGY3TQOJQ#fragment?x",
  ])
  func theKeyIsParsedAsAppsWriteIt(query: String) throws {
    #expect(try parse("otpauth://totp/x?\(query)").device.key.base32 == "GEZDGNBVGY3TQOJQ")
  }

  @Test func ignoredParametersAreListed() throws {
    let uri = "otpauth://totp/x?image=http%3A%2F%2Fx&secret=GEZDGNBVGY3TQOJQ&LOCK=1&lock=2&a%0A=1&=&x&yy=1&x=2"
    let parsed = try parse(uri)
    #expect(parsed.harmlessParameters == ["image", "lock"] && parsed.otherParameters == ["x", "yy"])
    let entry = try OTPAuthURI.entries(of: uri.utf8.span)[0]
    #expect(
      entry.remarks == [
        "image, lock: only for the app, left out", "x, yy: unknown, ignored",
        "A parameter with an unusual name is ignored",
      ])
    // A name as long as a key is not shown.
    #expect(try parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&GEZDGNBVGY3TQOJQ").otherParameters == [])
  }

  @Test(arguments: [
    ("", "it is not an otpauth URI"), ("otpauth://", "it is not an otpauth URI"),
    ("http://x", "it is not an otpauth URI"),
    ("otpauth-migration://offline?data=x", "it is not an otpauth URI"),
    ("otpauth://other/x?secret=KEY", "the URI must begin with otpauth://totp/ or otpauth://hotp/"),
    ("otpauth://totp/x", "the URI has no secret"), ("otpauth://totp/x?secret=", "the key is empty"),
    ("otpauth://totp/x?secret=KEY&secret=KEY", "the parameter secret is repeated"),
    ("otpauth://totp/x?secret=KEY0", "the key is not Base32"),
    ("otpauth://totp/x?secret=KEY%4", "invalid percent-encoding of the parameter secret"),
    ("otpauth://totp/x?secret=KEY&digits=%zz", "invalid percent-encoding of the parameter digits"),
    ("otpauth://totp/x?secret=KEY&digits=%ff", "the parameter digits is not UTF-8"),
    ("otpauth://totp/x?secret=KEY&digits=7", "seven-digit codes are not supported, only six and eight digits"),
    ("otpauth://totp/x?secret=KEY&digits=-6", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=+6", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=null", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=5", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=6.5", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=10", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&digits=262", "the number of digits must be 6 or 8"),
    ("otpauth://totp/x?secret=KEY&algorithm=MD5", "the algorithm MD5 is not supported, only SHA1, SHA256 and SHA512"),
    (
      "otpauth://totp/x?secret=KEY&algorithm=hmac-sha-224",
      "the algorithm SHA224 is not supported, only SHA1, SHA256 and SHA512"
    ),
    ("otpauth://totp/x?secret=KEY&algorithm=", "the algorithm must be SHA1, SHA256 or SHA512"),
    ("otpauth://totp/x?secret=KEY&algorithm=SHA512/256", "the algorithm must be SHA1, SHA256 or SHA512"),
    ("otpauth://totp/x?secret=KEY&period=0", "the period must be 15 to 300 seconds"),
    ("otpauth://totp/x?secret=KEY&period=30.5", "the period must be 15 to 300 seconds"),
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

  @Test(arguments: [
    "digits=8", "digits=08", "digits=%38", "digits=8.0", "DIGITS=8&period=30.0&algorithm=HMAC-SHA-1",
    "digits=8&period=030",
  ])
  func numbersAreReadAsPeopleExpect(query: String) throws {
    let device = try parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&\(query)").device
    #expect(device.digits == .eight && device.kind == .totp(period: 30) && device.algorithm == .sha1)
  }

  @Test(arguments: [
    ("totp/x?secret=KEY&2step_salt=8", "the parameter 2step_salt of privacyIDEA makes the app change the key"),
    (
      "hotp/x?secret=KEY&counter=1&2step_output=20",
      "the parameter 2step_output of privacyIDEA makes the app change the key"
    ),
    (
      "totp/x?secret=KEY&2STEP_DIFFICULTY=1",
      "the parameter 2step_difficulty of privacyIDEA makes the app change the key"
    ),
    ("totp/x?secret=KEY&encoder=steam", "Steam codes are not supported"),
    ("totp/x?secret=KEY&steam", "Steam codes are not supported"),
    ("totp/Steam:alice?secret=KEY", "Steam codes are not supported"),
    ("totp/alice?secret=KEY&issuer=Steam", "Steam codes are not supported"),
    ("steam/x?secret=KEY", "Steam codes are not supported"),
    ("yaotp/x?secret=KEY&pin_length=4", "codes of Yandex Key, which depend on its PIN, are not supported"),
    ("motp/x?secret=KEY&pin=1234", "codes of Mobile-OTP (mOTP), which depend on a PIN, are not supported"),
    ("totp/x?secret=KEY&pin=1234", "codes that depend on a PIN (parameter pin) are not supported"),
    ("ocra/x?secret=KEY", "OCRA, which answers challenges, is not supported"),
    ("totp/x?secret=KEY&ocrasuite=OCRA-1:HOTP-SHA1-6:QN08", "OCRA, which answers challenges, is not supported"),
    (
      "daypassword/x?secret=KEY&period=86400",
      "day passwords of privacyIDEA are not supported, because each is valid more than once"
    ),
    ("blizzard/x?secret=KEY", "the type of Battle.net is not supported"),
    ("hotp/x?secret=KEY&count=5", "the parameter count may change the codes, and is unknown"),
    ("totp/x?secret=KEY&encoder=hex", "the parameter encoder may change the codes, and is unknown"),
    ("totp/x?secret=KEY&timestep=60", "the parameter timestep may change the codes, and is unknown"),
    ("totp/x?secret=KEY&t0=100", "the parameter t0 may change the codes, and is unknown"),
    ("totp/x?secret=KEY&keyformat=hex", "the parameter keyformat may change the codes, and is unknown"),
    ("totp/x?secret=KEY&codelen=8", "the parameter codelen may change the codes, and is unknown"),
    ("totp/x?secret=KEY&sha=256", "the parameter sha may change the codes, and is unknown"),
    ("totp/x?secret=KEY&dig%E2%80%8Bits=8", "a parameter that may change the codes is unknown"),
    ("totp/x?secret=KEY&drift=2", "the parameter drift may change the codes, and is unknown"),
    ("totp/x?secret=KEY&truncate=last", "the parameter truncate may change the codes, and is unknown"),
    ("totp/x?secret=KEY&type=hotp", "the parameter type may change the codes, and is unknown"),
    ("totp/x?secret=KEY&x=SHA256", "the parameter x may change the codes, and is unknown"),
    ("totp/x?secret=KEY&ampdigits=8", "the parameter ampdigits may change the codes, and is unknown"),
    ("totp/x?secret=KEY&ampperiod=60", "the parameter ampperiod may change the codes, and is unknown"),
    ("totp/x?secret=KEY&KEY_digits=8", "a parameter that may change the codes is unknown"),
  ])
  func parametersThatChangeCodesAreRejectedByName(text: String, words: String) {
    let text = text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: "GEZDGNBVGY3TQOJQ")
    #expect(problem("otpauth://" + text) == words)
  }

  @Test func aHostNamedSteamIsNotTakenForSteamGuard() throws {
    var device = DeviceDraft(key: try SharedKey(base32: "GEZDGNBVGY3TQOJQ".utf8.span), kind: .totp(period: 30))
    device.issuer = "Steam"
    #expect(device.uri == "otpauth://totp/Steam:?secret=GEZDGNBVGY3TQOJQ&issuer=Steam&digits=6")
    #expect(try parse(device.uri).device.issuer == "Steam")
  }

  @Test func parametersThatDoNotChangeCodesAreLeftOut() throws {
    for query in ["count=1", "type=TOTP", "counter=5", "digits=6&issuer=Steam", "serial=A1&creator=privacyidea"] {
      #expect(try parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&\(query)").device.digits == .six)
    }
    #expect(try parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&period=30&counter=7").device.kind == .hotp(counter: 7))
  }

  @Test func aMissingCounterIsZero() throws {
    let parsed = try parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ")
    #expect(parsed.lacksCounter && parsed.device.kind == .hotp(counter: 0))
    #expect(try !parse("otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=0").lacksCounter)
    #expect(try !parse("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ").lacksCounter)
  }
}

@Suite struct KeyFileFormatTests {
  @Test(arguments: [
    ("otpauth://totp/x", KeyFileFormat.uri), ("\n# mine\n  OTPAUTH://totp/x", .uri),
    ("otpauth-migration://x", .migration),
    ("hunter2\nuser: x\notpauth://hotp/x", .uri), ("QR-Code:otpauth-migration://offline?data=", .migration),
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
