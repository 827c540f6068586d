import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword
import Testing

/// The key of RFC 4226 and RFC 6238.
private let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

@Suite struct URIsInTextTests {
  private func entries(_ text: String) throws -> [KeyEntry] {
    try OTPAuthURI.entries(of: text.utf8.span)
  }

  private func withKey(_ text: String) -> String {
    text.split(separator: "KEY", omittingEmptySubsequences: false).joined(separator: key)
  }

  private func code(_ device: DeviceDraft, at time: UInt64) -> UInt32? {
    let secret = device.key.sharedSecret(device.algorithm)
    switch device.kind {
    case .totp(let period): return secret?.code(at: time / UInt64(period), digits: device.digits)
    case .hotp(let counter): return secret?.code(at: counter, digits: device.digits)
    }
  }

  // The codes are of another implementation (oathtool).
  @Test(arguments: [
    ("otpauth://totp/x?secret=KEY&amp;digits=8&amp;period=60&amp;algorithm=SHA256", 34_855_935 as UInt32),
    ("otpauth://totp/x?secret=KEY&AMP;digits=8&#38;period=60&#x26;algorithm=SHA256", 34_855_935),
    ("otpauth://totp/x?secret=KEY&amp;amp;digits=8&amp;amp;period=60&amp;amp;algorithm=SHA256", 34_855_935),
    (#"{"uri":"otpauth:\/\/totp\/x?secret=KEY&digits=8&period=60&algorithm=SHA256"}"#, 34_855_935),
    (
      #"{"uri": "otpauth://totp/x?secret\u003dKEY\u0026digits\u003d8\u0026period\u003d60\u0026algorithm\u003dSHA256"}"#,
      34_855_935
    ),
    (
      #""{\"a\":\"otpauth://totp/x?secret=KEY\\u0026digits=8\\u0026period=60\\u0026algorithm=SHA256\",\"b\":1}""#,
      34_855_935
    ),
    (#"otpauth://totp/x\?secret\=KEY\&digits\=8\&period\=60\&algorithm\=SHA256"#, 34_855_935),
    (
      "https://x/?chl=otpauth%3A%2F%2Ftotp%2Fx%3Fsecret%3DKEY%26digits%3D8%26period%3D60%26algorithm%3DSHA256&chs=200",
      34_855_935
    ),
    (
      "https://x/?chl=otpauth://totp/x%3Fsecret%3DKEY%26digits%3D8%26period%3D60%26algorithm%3DSHA256&digits=6",
      34_855_935
    ),
    ("otpauth://totp/x?secret=KEY&%64igits=8&+period=60&algo%72ithm=%53HA256", 34_855_935),
    ("otpauth://hotp/x?secret=KEY&amp;counter=40&amp;digits=8", 52_268_376),
    ("<a href='otpauth://hotp/O&#39;Brien?secret=KEY&amp;counter=40&amp;digits=8'>", 52_268_376),
  ])
  func escapedParametersCount(text: String, expected: UInt32) throws {
    let found = try entries(withKey(text))
    #expect(found.count == 1)
    #expect(try code(found[0].device.get(), at: 1_700_000_000) == expected)
  }

  @Test(arguments: [
    "QR-Code:URI", "hunter2\nlogin: alice\nURI\nurl: https://x/?a=b", "otp: URI", #""URI""#, "'URI'", "<URI>", "(URI).",
    "[app](URI)", "> > URI", "see URI, and scan it.", "URI\nurl: https://x/?a=1&digits=8", "URI\n\nGEZDGNBV", "URI\n",
    "  URI  ", "\u{FEFF}URI", #"x,"URI",y"#, "URI,x,y",
    "| URI |",
    "&quot;URI&quot;", "&lt;URI&gt;", "`URI`", "**URI**", "scanned 1 barcode symbols\nQR-Code:URI\r", "a\tURI\tb",
    "apple-URI", "name,URI", #"<a href="URI">URI</a>"#, #"["URI", "x"]"#, "URI;", #"{\"u\":\"URI\"}"#, "URI.", "URI!",
  ])
  func aURIIsFoundInOtherText(text: String) throws {
    for uri in [
      "otpauth://totp/Big%20Corp:alice?issuer=Big%20Corp&period=60&secret=\(key)",
      "otpauth://totp/Big%20Corp:alice?secret=\(key)&period=60",
      "OTPAuth://TOTP/Big Corp:alice?secret=\(key)&period=60",
    ] {
      let found = try entries(text.split(separator: "URI", omittingEmptySubsequences: false).joined(separator: uri))
      #expect(found.count == 1, "\(text)")
      let device = try found[0].device.get()
      #expect(device.key.base32 == key && device.kind == .totp(period: 60))
      #expect(device.issuer == "Big Corp" && device.account == "alice")
    }
  }

  @Test func severalURIsAreFound() throws {
    let text = withKey(
      """
      # otpauth://totp/comment?secret=KEY
      otpauth://totp/a?secret=KEY otpauth://totp/b?secret=KEY,otpauth://hotp/c?secret=KEY&counter=3
      "otpauth://totp/d?secret=KEY\\notpauth://totp/e?secret=KEY\\n"
      otpauth://totp/f?secret=KEY&digits=7 and otpauth://totp/g?secret=KEY
        otpauth://hotp/Big Corp: h ?secret=KEYAAAA&counter=3\r
      otpauth://totp/a?secret=KEY again
      """)
    let found = try entries(text)
    #expect(found.map(\.account) == ["a", "b", "c", "d", "e", "f", "g", "h"])
    #expect(found.map(\.line) == [2, 2, 2, 3, 3, 4, 4, 5])
    #expect(found.map { (try? $0.device.get()) != nil } == [true, true, true, true, true, false, true, true])
    #expect(throws: FormatProblem(line: 4, "seven-digit codes are not supported, only six and eight digits")) {
      try found[5].device.get()
    }
  }

  @Test func linesOfAnExportAndURIsCanBeMixed() throws {
    let export = "otpauth-migration://offline?data=CiIKFDEyMzQ1Njc4OTAxMjM0NTY3ODkwEgFhGgFiIAEoATAC"
    #expect(try entries(withKey("otpauth://totp/x?secret=KEY\n\(export)\n")).map(\.account) == ["x", "a"])
  }

  @Test(arguments: [
    ("otpauth://totp/Big Corp:al ice?secret=KEY&issuer=Big Corp", "Big Corp", "al ice"),
    ("otpauth://totp/al?issuer=Big Corp, Inc.&secret=KEY", "Big Corp, Inc.", "al"),
    ("otpauth://totp/al?secret=KEY&issuer=Big Corp Inc.", "Big Corp Inc.", "al"),
    ("here: otpauth://totp/al?secret=KEY&issuer=Big Corp", "Big", "al"),
    ("here: otpauth://totp/al?issuer=Big Corp&secret=KEY", "Big Corp", "al"),
    ("otpauth://totp/Office #2: al?secret=KEY", "Office #2", "al"),
    ("otpauth://totp/S%F6hne:al?secret=KEY&issuer=S%F6hne", "Söhne", "al"),
    ("otpauth://totp/100%:a%zz?secret=KEY", "100%", "a%zz"),
  ])
  func labelsAreReadLeniently(text: String, issuer: String, account: String) throws {
    let entry = try entries(withKey(text))[0]
    #expect(try entry.device.get().key.base32 == key)
    #expect(entry.issuer == issuer && entry.account == account)
  }

  @Test func aLabelInLatin1IsRead() throws {
    let bytes = Array("otpauth://totp/S".utf8) + [0xF6] + Array("hne:al?secret=\(key)".utf8)
    #expect(try OTPAuthURI.entries(of: bytes.span).map(\.issuer) == ["Söhne"])
  }

  @Test(arguments: [
    ("otpauth://totp/x?secret=KEY KEY", "the key contains a blank"),
    ("otpauth://totp/x?secret=gezd gnbv gy3t qojq", "the key contains a blank"),
    ("otpauth://totp/x?secret=KEY digits=8", "text between the parameters of the URI"),
    ("otpauth://totp/x?secret=KEY, digits=8", "text between the parameters of the URI"),
    ("otpauth://totp/x?secret=KEY&issuer=x;digits=8", "the URI has parameters inside the parameter issuer"),
    ("otpauth://totp/x?secret=KEY&image=x?period=60", "the URI has parameters inside the value of another"),
    ("otpauth://totp/x&digits=8?secret=KEY", "the URI has parameters inside the label"),
    ("otpauth://totp/x?secret=KEY;digits=8", "the URI has parameters inside the parameter secret"),
    ("otpauth://totp/x?secret=KEY&issuer=C#&digits=8", "the URI has parameters after a #"),
    ("otpauth://totp/x?secret=KEY\n&digits=8", "the URI continues in the next line"),
    ("otpauth://totp/x?secret=KEY\r\n  GEZDGNBV\r\n", "the URI continues in the next line"),
    ("> otpauth://totp/x?issuer=y&secret=KEY\n> GEZDGNBV&digits=8\n", "the URI continues in the next line"),
    ("otpauth://totp/x?secret=KEY&alg\norithm=SHA1&digits=8\n", "the URI continues in the next line"),
    ("> otpauth://totp/x?secret=KEY\n> &amp;digits=8", "the URI continues in the next line"),
    ("otpauth://totp/x?secret=3DKEY&digits=3D8", "the URI is from a mail in the encoding quoted-printable"),
    (
      "Content-Transfer-Encoding: quoted-printable\n\notpauth://totp/x?secret=3DKEY",
      "the URI is from a mail in the encoding quoted-printable"
    ),
    (
      "https://x/?chl=otpauth://totp/x%3Fsecret%3DKEY%26digits%3D7",
      "seven-digit codes are not supported, only six and eight digits"
    ),
    ("otpauth://", "it is not an otpauth URI"), ("otpauth://totp/x", "the URI has no secret"),
    ("motp://x:y?secret=0123456789abcdef", "codes of Mobile-OTP (mOTP), which depend on a PIN, are not supported"),
    ("steam://KEY", "Steam codes are not supported"),
    (
      "phonefactor://activate_account?code=1",
      "the URI is for the app of Microsoft Authenticator alone, and contains no key for codes"
    ),
    ("duo://KEY-x", "the URI is for the app of Duo alone, and contains no key for codes"),
  ])
  func ambiguousAndUnusableURIsAreRejected(text: String, words: String) throws {
    let found = try entries(withKey(text))
    #expect(found.count == 1)
    let problem = #expect(throws: FormatProblem.self) { try found[0].device.get() }
    #expect(problem?.message == words && problem?.line != nil)
  }

  /// Hostile lines, for which the time must not grow with the square of their length.
  @Test(.timeLimit(.minutes(1)), arguments: [("&a", 100_000), ("\\", 100_000)])
  func aLongLineIsParsedInTime(part: String, count: Int) throws {
    _ = try entries(withKey("otpauth://totp/x?secret=KEY" + String(repeating: part, count: count)))
  }

  @Test(arguments: ["", "#\n\n", "secret \(key)", "steam://rungameid/440", "xduo://a", "https://x/", "otpauth:totp/x"])
  func aTextWithoutAURIIsRejected(text: String) {
    #expect(
      throws: FormatProblem(
        "it contains no otpauth URI", hint: "such a URI begins with otpauth://totp/ or otpauth://hotp/")
    ) {
      try entries(text)
    }
  }
}
