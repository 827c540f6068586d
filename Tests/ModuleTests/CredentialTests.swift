import FixedMemory
import OneTimePassword
import Testing

@testable import Enrollment

@Suite struct CredentialTests {
  private static let samples = [
    credentialText(),
    credentialText(devices: [hotpDevice(counter: 7)]),
    credentialText(devices: [totpDevice(algorithm: "sha256", digits: 8, period: 15, name: "Ünï çødé 📱 phone")]),
    credentialText(devices: [
      totpDevice(algorithm: "sha512", period: 300), hotpDevice(counter: UInt64.max - 1, secret: secret(2)),
    ]),
    credentialText(backupCodes: ["backup-code \(hash("a"))", "backup-code \(hash("b"))", "scratch-code \(hash("c"))"]),
    credentialText(devices: (1...16).map { totpDevice(name: "phone \($0)", secret: secret($0)) }),
    credentialText(backupCodes: (0..<32).map { _ in "backup-code \(hash("z"))" }),
    credentialText(devices: [totpDevice(secret: "GEZDGNBVGY3TQOJQ")]),
    credentialText(devices: [totpDevice(offset: 3000), totpDevice(offset: -1, name: "tablet", secret: secret(2))]),
  ]

  /// The text of a parsed credential.
  private func reencoded(_ text: String) throws -> String {
    let credential = try Credential(parsing: buffer(text))
    guard var encoder = CredentialEncoder(generation: credential.generation, enabledAt: credential.enabledAt) else {
      throw Missing(what: "memory")
    }
    for index in 0..<credential.deviceCount { encoder.addDevice(at: index, of: credential) }
    for index in 0..<credential.backupCodeCount {
      encoder.addBackupCode(
        credential.backupCodeHash(at: index), isScratchCode: credential.isScratchCode(at: index))
    }
    guard let written = encoder.finish() else { throw Missing(what: "text") }
    return ModuleTests.text(written.bytes)
  }

  private func problem(_ text: String) -> EnrollmentFailure? {
    do {
      _ = try Credential(parsing: buffer(text))
      return nil
    } catch {
      return error as? EnrollmentFailure
    }
  }

  @Test(arguments: samples) func encodingAParsedCredentialReturnsTheSameBytes(text: String) throws {
    #expect(try reencoded(text) == text)
  }

  @Test(arguments: samples) func aTruncatedCredentialIsCorrupt(text: String) throws {
    let bytes = Array(text.utf8)
    for length in 0..<bytes.count {
      let cut = try buffer(Array(bytes[..<length]))
      do {
        _ = try Credential(parsing: cut)
        Issue.record("accepted at \(length) bytes of \(bytes.count)")
      } catch {
        #expect(error.reason == .corrupt)
        let isBegun = length >= "twofactor-credential ".utf8.count
        let expected: Literal = length == 0 ? "is empty" : isBegun ? "is truncated" : "is not a credential"
        #expect(error.problem.bytes.string == expected.bytes.string, "\(length) bytes")
      }
    }
  }

  @Test func aChangedByteIsCorruptOrParsedExactly() throws {
    let bytes = Array(Self.samples[4].utf8)
    for index in bytes.indices {
      for byte in [0, UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "="), 0x7f, 0xff, bytes[index] ^ 1] {
        var changed = bytes
        changed[index] = byte
        guard let credential = try? Credential(parsing: buffer(changed)) else { continue }
        _ = consume credential
        #expect(try Array(reencoded(String(decoding: changed, as: UTF8.self)).utf8) == changed)
      }
    }
  }

  @Test func everyFieldIsParsed() throws {
    let text = credentialText(
      devices: [
        totpDevice(algorithm: "sha256", digits: 8, period: 60, offset: -21, name: "old phone", secret: secret(2)),
        hotpDevice(counter: 42),
      ],
      backupCodes: ["backup-code \(hash("a"))", "scratch-code \(hash("b"))"])
    let credential = try Credential(parsing: buffer(text))
    let (generation, enabledAt) = (credential.generation, credential.enabledAt)
    #expect(generation == sampleGeneration)
    #expect(enabledAt == 1_700_000_000)
    let (first, second, third) = (credential.device(at: 0), credential.device(at: 1), credential.device(at: 2))
    #expect(first?.kind == .totp(period: 60))
    #expect(first?.algorithm == .sha256)
    #expect(first?.digits == .eight)
    #expect(first?.clockOffset == -21)
    #expect(second?.kind == .hotp(counter: 42))
    #expect(second?.clockOffset == 0)
    #expect(third == nil)
    let (name, secret) = (ModuleTests.text(credential.name(ofDeviceAt: 0)), array(credential.secret(ofDeviceAt: 1)))
    #expect(name == "old phone")
    #expect(secret == Array("12345678901234567890".utf8))
    let (codes, setting) = (credential.backupCodeCount, ModuleTests.text(credential.backupCodeSetting()))
    #expect(codes == 2)
    #expect(setting == "$y$j9T$salt/salt.salt$")
    let scratch = (credential.isScratchCode(at: 0), credential.isScratchCode(at: 1), credential.hasScratchCodes)
    #expect(scratch == (false, true, true))
  }

  @Test(
    arguments: [
      "", "\n", "end\n", "twofactor-credential 2\n", " " + credentialText(), credentialText() + "\n",
      credentialText() + "x", credentialText(devices: []), credentialText() + credentialText(),
      credentialText(devices: (1...17).map { totpDevice(name: "phone \($0)", secret: secret($0)) }),
      credentialText(backupCodes: (0..<33).map { _ in "backup-code \(hash("z"))" }),
      credentialText(devices: [totpDevice(), totpDevice(secret: secret(2))]),
      credentialText(devices: [totpDevice(), totpDevice(name: "twin")]),
      credentialText(devices: [totpDevice(period: 14)]),
      credentialText(devices: [totpDevice(period: 301)]), credentialText(devices: [totpDevice(digits: 7)]),
      credentialText(devices: [totpDevice(algorithm: "md5")]), credentialText(devices: [totpDevice(secret: "")]),
      credentialText(devices: [totpDevice(secret: "GEZDGNBV")]),
      credentialText(devices: [totpDevice(secret: "gezdgnbvgy3tqojq")]),
      credentialText(devices: [totpDevice(secret: String(repeating: "A", count: 208))]),
      credentialText(devices: [totpDevice(name: "")]), credentialText(devices: [totpDevice(name: " phone")]),
      credentialText(devices: [totpDevice(name: "phone ")]), credentialText(devices: [totpDevice(name: "a\tb")]),
      credentialText(devices: [totpDevice(name: "a\u{85}b")]), credentialText(devices: [totpDevice(name: "a\r")]),
      credentialText(devices: [totpDevice(name: String(repeating: "x", count: 65))]),
      credentialText(devices: [hotpDevice(counter: UInt64.max)]),
      credentialText(devices: [totpDevice().replacing(" digits=6", with: "")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=030")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=0")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=-0")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=+1")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=01")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=--1")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=-")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "period=30 offset=1 offset=1")]),
      credentialText(devices: [totpDevice().replacing("period=30", with: "offset=1 period=30")]),
      credentialText(devices: [totpDevice(offset: 3001)]), credentialText(devices: [totpDevice(offset: -3001)]),
      credentialText(devices: [hotpDevice().replacing("counter=0", with: "counter=0 offset=1")]),
      credentialText(devices: [totpDevice().replacing(" ", with: "  ")]),
      credentialText(devices: [totpDevice() + "\r"]), credentialText(devices: [totpDevice() + "\u{0}"]),
      credentialText(backupCodes: ["backup-code \(hash("a").replacing("$j9T$", with: "$jFT$"))"]),
      credentialText(backupCodes: ["backup-code \(hash("a").replacing("$j9T$", with: "$j9U$"))"]),
      credentialText(backupCodes: ["backup-code "]), credentialText(backupCodes: ["backup-code 12345678"]),
      credentialText(backupCodes: ["backup-code $6$salt$" + String(repeating: "a", count: 86)]),
      credentialText(backupCodes: ["backup-code \(hash("a"))", "backup-code $y$j9T$other.salt$\(hash("b").suffix(43))"]
      ),
      credentialText(backupCodes: ["backup-code \(hash("a")) "]), credentialText(backupCodes: ["# a comment"]),
      credentialText().replacing("generation 0", with: "generation G"),
      credentialText().replacing("generation 0", with: "generation 00"),
      credentialText().replacing("generation 000102030405060708090a", with: "generation 000102030405060708090A"),
      credentialText().replacing("enabled 17", with: "enabled -17"),
      credentialText().replacing("enabled 17", with: "enabled 99999999999917"),
      credentialText().replacing("\n", with: "\r\n"), String(repeating: "x", count: 20_000),
    ])
  func invalidTextIsCorrupt(text: String) {
    #expect(problem(text)?.reason == .corrupt)
  }

  @Test(
    arguments: [
      ("backup-code \(hash("b").dropLast())!", "the backup code is not a yescrypt hash"),
      ("backup-code $y$j9T$other.salt$\(hash("b").suffix(43))", "the backup codes have different salts"),
      ("backup-code $y$j9T$salt/salt.salt$", "the backup code is not a yescrypt hash"),
      ("backup-code \(hash("b").prefix(20))", "the backup code is not a yescrypt hash"),
    ])
  func aFailureNamesTheProblemOfALaterBackupCode(line: String, words: String) {
    let failure = problem(credentialText(backupCodes: ["backup-code \(hash("a"))", line]))
    #expect(failure?.problem.bytes.string == words)
    #expect(failure?.line == 6)
  }

  @Test(
    arguments: [
      ("twofactor-credential 1", "twofactor-credential 2", 1, "has an unknown version"),
      ("twofactor-credential", "credential", 1, "is not a credential"),
      ("generation ", "generations ", 2, "the generation is missing"),
      ("generation 0", "generation x", 2, "the generation is not 32 hexadecimal digits"),
      ("generation 0", "generation 00", 2, "the generation is not 32 hexadecimal digits"),
      ("generation 00", "generation 0", 2, "the generation is not 32 hexadecimal digits"),
      ("\nenabled ", "\nenable ", 3, "the enrollment time is missing"),
      ("\nenabled 1", "\nenabled -1", 3, "the enrollment time is not a number"),
      ("device ", "devices ", 4, "has no device"),
      ("type=totp", "type=top", 4, "unknown device type"),
      ("secret=", "secrets=", 4, "the secret is missing"),
      ("name=", "name= ", 4, "invalid device name"),
      ("\nend\n", "\nEnd\n", 5, "unknown line"),
      ("\nend\n", "\nend\n\n", 5, "has text after its end"),
    ])
  func aFailureNamesTheProblemAndTheLine(part: String, wrong: String, line: UInt32, words: String) {
    let failure = problem(credentialText().replacing(part, with: wrong, maxReplacements: 1))
    #expect(failure?.line == line)
    #expect(failure?.problem.bytes.string == words)
  }

  @Test func theFailureNamesTheLine() {
    let failure = problem(credentialText(devices: [totpDevice(), totpDevice(digits: 9, name: "b", secret: secret(2))]))
    #expect(failure?.line == 5)
    var text = ByteText(capacity: 199)
    failure?.describe(into: &text)
    #expect(text.string == "credential, line 5: the digits are neither 6 nor 8")
  }

  @Test(
    arguments: [
      (0, 1_700_000_000, 56_666_666), (3000, 1_700_000_000, 56_669_666), (-3000, 1_700_000_000, 56_663_666),
      (-20, 620, 0), (-20, 599, 0), (-20, 0, 0), (-20, 630, 1), (3, 0, 3),
      (3000, Int64.max, UInt64(Int64.max / 30) + 3000),
    ] as [(Int64, Int64, UInt64)])
  func theClockOfADeviceIsThatOfTheHostWithItsOffset(offset: Int64, now: Int64, step: UInt64) throws {
    let credential = try Credential(parsing: buffer(credentialText(devices: [totpDevice(offset: offset)])))
    let (shown, beforeTheEpoch) = (
      credential.device(at: 0)?.timeStep(at: now), credential.device(at: 0)?.timeStep(at: -1)
    )
    #expect(shown == step)
    #expect(beforeTheEpoch == nil)
  }

  @Test(arguments: [3001, -3001] as [Int64]) func theEncoderWritesNoOffsetThatCannotBeRead(offset: Int64) throws {
    guard var encoder = CredentialEncoder(generation: sampleGeneration, enabledAt: 0) else {
      throw Missing(what: "memory")
    }
    encoder.addDevice(
      kind: .totp(period: 30), algorithm: .sha1, digits: .six, clockOffset: offset, enabledAt: 0,
      secret: Array("12345678901234567890".utf8).span, name: Array("phone".utf8).span)
    let isNothing = encoder.finish() == nil
    #expect(isNothing)
  }

  @Test func theEncoderWritesNothingThatCannotBeRead() throws {
    guard var encoder = CredentialEncoder(generation: sampleGeneration, enabledAt: 0) else {
      throw Missing(what: "memory")
    }
    encoder.addDevice(
      kind: .totp(period: 30), algorithm: .sha1, digits: .six, enabledAt: 0,
      secret: Array("12345678901234567890".utf8).span, name: Array("two\nlines".utf8).span)
    let isNothing = encoder.finish() == nil
    #expect(isNothing)
  }

  @Test func everyByteOfALaterHashIsJudged() throws {
    let text = Array(credentialText(backupCodes: ["backup-code \(hash("a"))", "backup-code \(hash("b"))"]).utf8)
    let start = try #require(text.firstIndex(of: UInt8(ascii: "b"), times: 43))
    let allowed = Set("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    for position in [0, 1, 7, 8, 20, 34, 35, 42] {
      for byte in UInt8.min...UInt8.max {
        var changed = text
        changed[start + position] = byte
        #expect(isCredential(changed) == allowed.contains(byte), "byte \(byte) at \(position)")
      }
    }
  }

  private func isCredential(_ bytes: [UInt8]) -> Bool {
    do {
      _ = try Credential(parsing: buffer(bytes))
      return true
    } catch {
      return false
    }
  }
}

extension [UInt8] {
  /// Where so many bytes of one value begin.
  fileprivate func firstIndex(of byte: UInt8, times count: Int) -> Int? {
    indices.first { self[$0...].prefix(count).count == count && self[$0...].prefix(count).allSatisfy { $0 == byte } }
  }
}
