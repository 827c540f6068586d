import Enrollment
import FixedMemory
import OneTimePassword
import Testing

@testable import KeyFormats

@Suite struct PSKCContainerTests {
  private func package(
    _ algorithm: String = "urn:ietf:params:xml:ns:keyprov:pskc:totp", format: String = "",
    data: String = PSKCSample.plainSecret, rest: String = "", device: String = "<SerialNo>987654321</SerialNo>"
  ) -> String {
    PSKCSample.container(PSKCSample.package(algorithm, format: format, data: data, rest: rest, device: device))
  }

  @Test func aPlainKeyIsReadWithItsLabels() throws {
    let text = package(
      "urn:ietf:params:xml:ns:keyprov:pskc:hotp", format: #"<ResponseFormat Length="8" Encoding="DECIMAL"/>"#,
      data: PSKCSample.plainSecret + "<Counter><PlainValue>42</PlainValue></Counter>",
      rest: "<Issuer>Example Inc.</Issuer><UserId>UID=alice,DC=example,DC=net</UserId>")
    #expect(KeyFileFormat(of: text.utf8.span) == .pskc)
    let entry = try PSKCSample.entry(text)
    #expect(entry.issuer == "Example Inc." && entry.account == "alice" && entry.serial == "987654321")
    #expect(entry.remarks.isEmpty)
    let device = try entry.device.get()
    #expect(device.kind == .hotp(counter: 42) && device.digits == .eight && device.algorithm == .sha1)
    #expect(device.key.base32 == PSKCSample.key)
  }

  @Test func aClockIsReadWithItsDrift() throws {
    let text = package(
      format: #"<Suite>HMAC-SHA256</Suite><ResponseFormat Length="6" Encoding="DECIMAL"/>"#,
      data: PSKCSample.plainSecret + """
        <Time><PlainValue>1000</PlainValue></Time><TimeInterval><PlainValue>60</PlainValue></TimeInterval>
        <TimeDrift><PlainValue>-2</PlainValue></TimeDrift>
        """)
    let device = try PSKCSample.device(text)
    #expect(device.kind == .totp(period: 60) && device.digits == .six && device.algorithm == .sha256)
    #expect(device.clockOffset == -2 && device.nextStep == 1000)
  }

  @Test(arguments: [
    "urn:ietf:params:xml:ns:keyprov:pskc:totp", "urn:ietf:params:xml:ns:keyprov:pskc#totp",
    "http://www.ietf.org/keyprov/pskc#totp", "TOTP",
  ])
  func olderNamesOfAlgorithmsAreKnown(name: String) throws {
    #expect(try PSKCSample.device(package(name)).kind == .totp(period: 30))
  }

  @Test func draftsAreRead() throws {
    let device = try PSKCSample.device(
      """
      <KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc:1.0"><Device>
        <DeviceInfo><SerialNo>7</SerialNo></DeviceInfo>
        <Key KeyAlgorithm="urn:ietf:params:xml:ns:keyprov:pskc#totp" KeyId="7">
          <Usage OTP="true"><ResponseFormat Length="8" Format="DECIMAL"/></Usage>
          <Data>\(PSKCSample.plainSecret)<TimeDrift><PlainValue>4</PlainValue></TimeDrift></Data>
        </Key></Device></KeyContainer>
      """)
    #expect(device.digits == .eight && device.clockOffset == 4)
    let older = try PSKCSample.entry(
      """
      <SecretContainer version="1.2" xmlns="http://www.openauthentication.org/OATH/2006/08/PSKC">
        <EncryptionMethod algorithm="NONE"/><Device><DeviceId><SerialNo>8</SerialNo></DeviceId>
        <Secret SecretAlgorithm="HOTP" SecretId="8">
          <Usage><ResponseFormat format="DECIMAL" length="6"/></Usage>
          <Data Name="SECRET"><Value>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</Value></Data>
          <Data Name="COUNTER"><Value>AAAAAAAAACo=</Value></Data>
        </Secret></Device></SecretContainer>
      """)
    #expect(older.serial == "8")
    #expect(try older.device.get().kind == .hotp(counter: 42))
  }

  @Test func aPrefixedNamespaceAndADeclaredEncodingDoNotMatter() throws {
    let text = """
      \u{FEFF}<?xml version="1.0" encoding="UTF-16"?><!-- <KeyContainer> -->
      <p:KeyContainer xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><p:KeyPackage><p:Key Algorithm="HOTP" Id="&#x31;2">
      <p:Data><p:Secret><p:PlainValue>MTIzNDU2Nzg5<![CDATA[MDEyMzQ1Njc4OTA=]]></p:PlainValue></p:Secret></p:Data>
      </p:Key></p:KeyPackage></p:KeyContainer>
      """
    let entry = try PSKCSample.entry(text)
    #expect(entry.serial == "12" && entry.remarks == ["The key has no Counter; the counter starts at 0"])
    #expect(try entry.device.get().key.base32 == PSKCSample.key)
  }

  @Test func aDeclaredLatin1IsDecoded() throws {
    let text = PSKCSample.container(PSKCSample.package(rest: "<Issuer>Caf\u{E9}</Issuer>"))
      .replacing(#"encoding="UTF-8""#, with: #"encoding="ISO-8859-1""#)
    let bytes = text.unicodeScalars.map { UInt8($0.value) }
    let entries = try KeyFileFormat.pskc.entries(of: bytes.span, KeyFileReading(now: PSKCSample.now))
    #expect(entries.map(\.issuer) == ["Caf\u{E9}"])
  }

  @Test func oneUnusableKeyDoesNotAffectTheOthers() throws {
    let pin = PSKCSample.package("urn:ietf:params:xml:ns:keyprov:pskc:pin")
    let entries = try PSKCSample.entries(
      PSKCSample.container(PSKCSample.package() + PSKCSample.package("http://www.yubico.com/#yubikey-aes") + pin))
    #expect(entries.map { (try? $0.device.get()) != nil } == [true, false])
  }

  @Test(arguments: [
    ("urn:ietf:params:xml:ns:keyprov:pskc:ocra", "OCRA, which answers challenges, is not supported"),
    ("http://www.rsa.com/names/2008/04/algorithms/SecurID/SecurID-AES128", "SecurID is not supported"),
    ("http://www.yubico.com/#yubikey-aes", "Yubico OTP is not supported"),
    ("http://example.net/#totp", "its Algorithm is neither HOTP nor TOTP"),
    ("urn:ietf:params:xml:ns:keyprov:pskc:totp2", "its Algorithm is neither HOTP nor TOTP"),
  ])
  func otherAlgorithmsAreRejectedByName(name: String, problem: String) throws {
    #expect(try PSKCSample.problem(package(name)) == problem)
  }

  @Test(arguments: [
    (#"<ResponseFormat Length="7"/>"#, "seven-digit codes are not supported, only six and eight digits"),
    (#"<ResponseFormat Length="10"/>"#, "the Length of ResponseFormat must be 6 or 8"),
    (
      #"<ResponseFormat Length="6" Encoding="HEXADECIMAL"/>"#,
      "codes that are not decimal are not supported (Encoding of ResponseFormat)"
    ),
    (
      #"<ResponseFormat Length="6" CheckDigits="true"/>"#,
      "codes with a check digit are not supported (CheckDigits)"
    ),
    (#"<ResponseFormat Length="6" Truncation="3"/>"#, "an attribute of ResponseFormat is unknown"),
    (
      #"<ChallengeFormat Encoding="DECIMAL" Min="6" Max="6"/>"#,
      "it has a ChallengeFormat: keys that answer challenges are not supported"
    ),
    ("<Truncation>3</Truncation>", "Truncation in AlgorithmParameters is unknown"),
    ("<Suite>HMAC-MD5</Suite>", "the Suite must be HMAC-SHA1, HMAC-SHA256 or HMAC-SHA512"),
    ("<Suite/>", "the Suite must be HMAC-SHA1, HMAC-SHA256 or HMAC-SHA512"),
  ])
  func propertiesThatChangeCodesAreRejectedByName(format: String, problem: String) throws {
    #expect(try PSKCSample.problem(package(format: format)) == problem)
  }

  @Test(arguments: [
    ("<Salt>1</Salt>", "Salt in Data is unknown"),
    (
      "<TimeInterval><PlainValue>3600</PlainValue></TimeInterval>",
      "a TimeInterval of 3600 seconds is not supported, only 15 to 300 seconds"
    ),
    ("<TimeInterval><PlainValue>half</PlainValue></TimeInterval>", "TimeInterval is not a number"),
    ("<Time><PlainValue>1700000000</PlainValue></Time>", "Time is in the future"),
    ("<TimeDrift><PlainValue>3001</PlainValue></TimeDrift>", "a TimeDrift of 3001 is out of range; the limit is 3000"),
    (PSKCSample.plainSecret, "Secret is repeated"),
  ])
  func unusableValuesAreRejectedByName(value: String, problem: String) throws {
    #expect(try PSKCSample.problem(package(data: PSKCSample.plainSecret + value)) == problem)
  }

  @Test(arguments: [
    ("", "", "Secret is missing"),
    ("", "<KeyReference>Label</KeyReference>", "the key is not in the file, which only refers to it with KeyReference"),
    (
      "<Secret><PlainValue>MTIzNA==</PlainValue></Secret>", "",
      "the key has 4 bytes, which is too short to be safe; the minimum is 10"
    ),
    ("<Secret><PlainValue>MTIzNDU2Nzg5M</PlainValue></Secret>", "", "PlainValue is not Base64"),
    ("<Secret><PlainValue>MTIz=NDU2</PlainValue></Secret>", "", "PlainValue is not Base64"),
    ("<Secret/>", "", "Secret has neither PlainValue nor EncryptedValue"),
  ])
  func unusableSecretsAreRejected(data: String, rest: String, problem: String) throws {
    #expect(try PSKCSample.problem(package(data: data, rest: rest)) == problem)
  }

  @Test(arguments: [
    ("<KeyContainer", "line 1: it is not well-formed XML"),
    ("", "line 1: it is not well-formed XML"),
    ("<KeyContainer>\n<a></b></KeyContainer>", "line 2: it is not well-formed XML"),
    ("<KeyContainer>&secret;</KeyContainer>", "line 1: it is not well-formed XML"),
    ("<Other/>", "its root element is not a KeyContainer of PSKC"),
    (#"<KeyContainer xmlns="urn:example"/>"#, "its root element is not a KeyContainer of PSKC"),
    (#"<KeyContainer Version="2.0"/>"#, "its version of PSKC is not 1.0"),
    ("<KeyContainer/>", "it contains no key for one-time passwords"),
    ("<KeyContainer>\0</KeyContainer>", "it contains a NUL byte"),
    ("<KeyContainer><Signature/></KeyContainer>", "it has an XML signature, which twofactor cannot check"),
    (
      #"<KeyContainer><EncryptionMethod Algorithm="PBE-3DES112-CBC"/></KeyContainer>"#,
      "it is encrypted as in a draft older than RFC 6030, which is not supported"
    ),
  ])
  func unusableTextsAreRejected(text: String, problem: String) throws {
    #expect(try PSKCSample.problem(text) == problem)
  }

  /// Entities could read files or expand to gigabytes.
  @Test(arguments: [
    #"<!DOCTYPE k SYSTEM "http://localhost/x.dtd"><KeyContainer/>"#,
    #"<!DOCTYPE k [<!ENTITY e SYSTEM "file:///etc/passwd">]><KeyContainer><Issuer>&e;</Issuer></KeyContainer>"#,
    #"<!DOCTYPE k [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;">]><KeyContainer>&b;</KeyContainer>"#,
  ])
  func aDoctypeIsRejected(text: String) throws {
    #expect(try PSKCSample.problem(text) == "it contains a DOCTYPE, which PSKC files do not need")
  }

  @Test func inclusionsAreIgnored() throws {
    let text = """
      <KeyContainer xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd" parse="text"/>
      \(PSKCSample.package())</KeyContainer>
      """
    #expect(try PSKCSample.device(text).key.base32 == PSKCSample.key)
  }

  @Test func aTagWithThousandsOfAttributesIsRejected() throws {
    let attributes = (0..<2000).map { " a\($0)='1'" }.joined()
    #expect(try PSKCSample.problem("<KeyContainer x='>'\(attributes)/>") == "one of its elements is too long")
    let comment = "<!-- \(attributes) -->"
    #expect(try PSKCSample.device("<KeyContainer>\(comment)\(PSKCSample.package())</KeyContainer>").digits == .six)
  }

  /// libxml2 parses at most 10 MB at once.
  @Test func aLargeFileIsRead() throws {
    let comments = String(repeating: "<!-- \(String(repeating: "-x", count: 5000)) -->\n", count: 1200)
    #expect(try PSKCSample.device("<KeyContainer>\(comments)\(PSKCSample.package())</KeyContainer>").digits == .six)
  }

  @Test func deepNestingIsRejected() throws {
    let text = String(repeating: "<a>", count: 40) + String(repeating: "</a>", count: 40)
    #expect(try PSKCSample.problem(text) == "its elements are nested too deeply")
  }
}
