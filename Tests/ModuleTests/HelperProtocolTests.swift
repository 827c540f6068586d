import FixedMemory
import Foundation
import OneTimePassword
import Testing
import Verification

@testable import Enrollment
@testable import HelperProtocol

/// The examples and rules of `pam/helper-protocol.md`.
@Suite struct HelperProtocolTests {
  private func bytes(_ message: consuming SecretBuffer?) -> [UInt8] {
    guard let message else { return [] }
    return message.bytes.indices.map { message.bytes[$0] }
  }

  private func status(of message: [UInt8]) -> HelperStatus {
    do throws(HelperStatus) {
      _ = try HelperRequest(parsing: message.span)
      return .done
    } catch {
      return error
    }
  }

  @Test func requestsAndAnswersHaveTheBytesOfThePage() {
    #expect(bytes(HelperRequest.register.encoded) == [2, 0, 0, 0, 1, 5])
    #expect(bytes(HelperRequest.unregister.encoded) == [2, 0, 0, 0, 1, 6])
    #expect(bytes(HelperAnswer.encoded(.done)) == [2, 0, 0, 0, 1, 0])
    #expect(bytes(HelperAnswer.encoded(.io, ByteText("why"))) == [6, 0, 0, 0, 1, 5, 3] + "why".utf8)
  }

  @Test func theExamplesOfThePageAreEncodedSo() throws {
    let page = try String(
      contentsOf: URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../pam/helper-protocol.md"),
      encoding: .utf8)
    let examples = [
      bytes(HelperRequest.register.encoded), bytes(HelperRequest.check(Array("123456".utf8).span, .login)),
      bytes(HelperAnswer.encoded(.done)),
    ]
    for example in examples {
      let text = example.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(separator: " ")
      #expect(page.replacing(/\s+/, with: " ").contains("`\(text)`"))
    }
  }

  @Test func everyRequestHasItsNumberAndBody() throws {
    let ticket: [UInt8] = Array(1...24)
    #expect(bytes(HelperRequest.status.encoded) == [2, 0, 0, 0, 1, 1])
    #expect(bytes(HelperRequest.remove.encoded(ticket: ticket.span)) == [28, 0, 0, 0, 1, 4, 24, 0] + ticket)
    #expect(bytes(HelperRequest.show.encoded(ticket: [UInt8]().span)) == [4, 0, 0, 0, 1, 7, 0, 0])
    let flags = CheckFlags.keep.union(.hostStore)
    #expect(bytes(HelperRequest.check([49, 50].span, flags)) == [7, 0, 0, 0, 1, 2, 5, 2, 0, 49, 50])
    #expect((0...7).filter { CheckFlags(rawValue: $0).isValid } == [0, 1, 2, 4, 5, 6])
    #expect((16...255).allSatisfy { !CheckFlags(rawValue: $0).isValid })
  }

  @Test func onlyAKnownRequestIsAccepted() {
    #expect(status(of: [1, 5]) == .done)
    #expect(status(of: []) == .malformed)
    #expect(status(of: [1]) == .malformed)
    #expect(status(of: [2, 5]) == .unknownVersion)
    #expect(status(of: [1, 0]) == .unknownRequest)
    #expect(status(of: [1, 8]) == .done)
    #expect(status(of: [1, 16, 0]) == .unknownRequest)
  }

  @Test(
    arguments: [
      ([2, 0, 0, 0], 2), ([0, 80, 0, 0], 20480), ([1, 0, 0, 0], nil), ([1, 80, 0, 0], nil), ([2, 0, 0, 128], nil),
      ([255, 255, 255, 255], nil), ([2, 0, 0], nil), ([], nil),
    ] as [([UInt8], Int?)])
  func aLengthOutOfRangeIsRejected(prefix: [UInt8], length: Int?) {
    #expect(HelperMessage.length(prefix.span) == length)
  }

  @Test func anAnswerIsParsedWithItsText() {
    let whole: [UInt8] = [6, 0, 0, 0, 1, 5, 3] + "why".utf8
    guard let answer = HelperAnswer(parsing: whole.span) else {
      Issue.record("a whole answer is rejected")
      return
    }
    let (status, reason) = (answer.status, answer.reason)
    let text = answer.text.indices.map { answer.text[$0] }
    #expect(status == .failed && reason == .io && text == Array("why".utf8))
    for count in whole.indices {
      let part = Array(whole.prefix(count))
      if HelperAnswer(parsing: part.span) != nil { Issue.record("a part of \(count) bytes is accepted") }
    }
    let others: [[UInt8]] = [whole + [0], [2, 0, 0, 0, 2, 0], [2, 0, 0, 0, 1, 99]]
    for other in others {
      if HelperAnswer(parsing: other.span) != nil { Issue.record("\(other) is accepted") }
    }
  }

  // MARK: Login

  /// Without its length.
  private func message(_ request: consuming SecretBuffer?) -> [UInt8] { Array(bytes(request).dropFirst(4)) }

  @Test func aLoginIsParsedAsItWasEncoded() throws {
    var limits = VerificationLimits()
    (limits.window, limits.lookAhead, limits.maximumFailures) = (10, 100, 100)
    limits.acceptsBackupCodes = false
    let key = GraceKey(service: 1, highAddress: .max, lowAddress: 1 << 40)
    let flags = CheckFlags.endOfPassword.union(.uncounted)
    for key in [nil, key] {
      for reply in ["", "123456", String(repeating: "p", count: 512)] {
        let encoded = message(
          LoginRequest.encoded(reply.utf8.span, flags, limits, gracePeriod: 86_400, key))
        let parsed = try LoginRequest(parsing: encoded.span)
        let (read, period, found) = (parsed.limits, parsed.gracePeriod, parsed.graceKey)
        #expect(read == limits && period == 86_400 && found == key)
        let text = parsed.reply.bytes.indices.map { parsed.reply.bytes[$0] }
        let (isEnd, counts) = (parsed.flags.isEndOfPassword, parsed.flags.countsFailure)
        #expect(text == Array(reply.utf8) && isEnd && !counts)
        for count in 2..<encoded.count {
          #expect(throws: HelperStatus.malformed) { _ = try LoginRequest(parsing: Array(encoded.prefix(count)).span) }
        }
        #expect(throws: HelperStatus.malformed) { _ = try LoginRequest(parsing: (encoded + [0]).span) }
      }
    }
  }

  @Test func aLoginWithFlagsOfACheckIsMalformed() throws {
    for flags in [CheckFlags.keep, .hostStore, .home] {
      let encoded = message(LoginRequest.encoded([UInt8]().span, flags, VerificationLimits(), gracePeriod: 0, nil))
      #expect(throws: HelperStatus.malformed) { _ = try LoginRequest(parsing: encoded.span) }
    }
    #expect(!CheckFlags.uncounted.isValid)
  }

  // MARK: Answers

  private static let refusals: [Refusal] = [
    .noReply, .malformedReply, .wrongCode(failures: 7), .wrongCode(failures: .max), .wrongBackupCode(failures: 3),
    .outsideWindow(steps: -20), .outsideWindow(steps: 20), .reusedCode, .reusedBackupCode, .throttled(seconds: 900),
    .locked,
  ]

  @Test(arguments: refusals) func aRefusalIsParsedAsItWasEncoded(refusal: Refusal) throws {
    var checked = CheckedCode()
    checked.refusal = refusal
    checked.codeLength = 6
    let whole = bytes(checked.encoded)
    let parsed = try parse(whole)
    let (read, method, length) = (parsed.refusal, parsed.method, parsed.codeLength)
    #expect(read == refusal && method == nil && length == 6 && whole[5] == 6)
  }

  @Test func anAcceptedCodeIsParsedAsItWasEncoded() throws {
    for method in [CheckedCode.Method.totp, .hotp, .backupCode, .grace] {
      var checked = CheckedCode()
      checked.method = method
      (checked.backupCodesLeft, checked.codeLength) = (32, 11)
      (checked.backupCodeUsedAt, checked.offset, checked.period) = (1_700_000_000, -10, 300)
      checked.deviceName = ByteText(String(repeating: "é", count: 32))
      checked.ticket = ByteText(String(repeating: "t", count: 24))
      let whole = bytes(checked.encoded)
      let parsed = try parse(whole)
      let again = bytes(parsed.encoded)
      let (read, refusal, name) = (parsed.method, parsed.refusal, parsed.deviceName.string)
      #expect(again == whole && read == method && refusal == nil && name == String(repeating: "é", count: 32))
      for count in 6..<whole.count where whole[5] == 0 {
        var part = Array(whole.prefix(count))
        part[0] = UInt8(count - 4)
        #expect(throws: Missing.self) { _ = try parse(part) }
      }
      #expect(throws: Missing.self) { _ = try parse([UInt8(whole.count - 3)] + whole.dropFirst() + [0]) }
    }
  }

  @Test(arguments: [0, 5, 255] as [UInt8]) func anUnknownMethodOrRefusalIsRejected(code: UInt8) throws {
    var checked = CheckedCode()
    checked.method = .totp
    var whole = bytes(checked.encoded)
    whole[6] = code
    #expect(throws: Missing.self) { _ = try parse(whole) }
    whole[5] = 6
    if code != 5 { #expect(throws: Missing.self) { _ = try parse(whole) } }
    whole[5] = 1
    #expect(throws: Missing.self) { _ = try parse(whole) }
  }

  private func parse(_ whole: [UInt8]) throws -> CheckedCode {
    guard let answer = HelperAnswer(parsing: whole.span), let checked = CheckedCode(answer) else {
      throw Missing(what: "a valid answer")
    }
    return checked
  }

  @Test func aRequestToResyncHasTheBytesOfThePage() {
    let request = bytes(
      HelperRequest.resync(Array("ab".utf8).span, Array("123456".utf8).span, Array("7".utf8).span))
    #expect(request == [17, 0, 0, 0, 1, 8, 2, 0, 97, 98, 6, 0, 49, 50, 51, 52, 53, 54, 1, 0, 55])
  }

  @Test(
    arguments: [
      (.found, [2, 0, 0, 0, 1, 0]),
      (.refused(.wrongCode(failures: 258)), [11, 0, 0, 0, 1, 6, 3, 2, 1, 0, 0, 0, 0, 0, 0]),
      (.refused(.throttled(seconds: 900)), [11, 0, 0, 0, 1, 6, 8, 132, 3, 0, 0, 0, 0, 0, 0]),
      (.refused(.locked), [11, 0, 0, 0, 1, 6, 9, 0, 0, 0, 0, 0, 0, 0, 0]),
      (.refused(.malformedReply), [11, 0, 0, 0, 1, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
      (.noDevice, [11, 0, 0, 0, 1, 6, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
      (.sameCode, [11, 0, 0, 0, 1, 6, 11, 0, 0, 0, 0, 0, 0, 0, 0]),
      (.wrongOrder(failures: 3), [11, 0, 0, 0, 1, 6, 12, 3, 0, 0, 0, 0, 0, 0, 0]),
      (.used(until: 1_700_000_000), [11, 0, 0, 0, 1, 6, 13, 0, 241, 83, 101, 0, 0, 0, 0]),
      (.counterLost, [11, 0, 0, 0, 1, 6, 14, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] as [(ResyncVerdict, [UInt8])])
  func aVerdictAboutADeviceIsParsedAsItWasEncoded(verdict: ResyncVerdict, expected: [UInt8]) {
    let whole = bytes(ResyncAnswer.encoded(verdict))
    #expect(whole == expected)
    func parsed(_ message: [UInt8]) -> ResyncVerdict? {
      guard let answer = HelperAnswer(parsing: message.span) else { return nil }
      return ResyncAnswer.verdict(of: answer)
    }
    #expect(parsed(whole) == verdict)
    #expect(parsed([whole[0] + 1] + whole.dropFirst() + [0]) == nil)
    guard verdict != .found else { return }
    #expect(parsed([whole[0] - 1] + whole.dropFirst().dropLast()) == nil)
    var other = whole
    other[6] = 15
    #expect(parsed(other) == nil)
    other[5] = 7
    #expect(parsed(other) == nil)
  }

  @Test func everyReasonOfAFailureIsParsedAsItWasEncoded() {
    let reasons: [EnrollmentFailure.Reason] = [.insecure, .corrupt, .io, .absent, .missing, .gone, .configuration]
    for (index, reason) in reasons.enumerated() {
      let whole = bytes(HelperAnswer.encoded(reason, ByteText("why")))
      #expect(whole[6] == UInt8(index + 1))
      let parsed = HelperAnswer(parsing: whole.span)?.reason
      #expect(parsed == reason)
    }
    let other = HelperAnswer(parsing: [3, 0, 0, 0, 1, 5, 8].span)?.reason
    #expect(other == nil)
  }

  @Test func aReportHasTheBytesOfThePageAndNoSecret() throws {
    let devices = [totpDevice(), hotpDevice(counter: 9, secret: secret(1))]
    let credential = try Credential(
      parsing: buffer(
        credentialText(devices: devices, backupCodes: ["backup-code " + hash("a"), "backup-code " + hash("b")])))
    var state = LoginState(generation: credential.generation)
    state.failures = 5
    state.throttledUntil = 1_700_000_030
    state.lastUsedAt = 1_700_000_001
    state.spend(backupCodeAt: 1)
    state[device: 1] = LoginState.DeviceState(nextFactor: 12, lastUsedAt: 1_700_000_002)
    let report = bytes(EnrollmentReport.encoded(credential, state, limits: VerificationLimits(), now: 1_700_000_000))
    func number(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    func field(_ text: String) -> [UInt8] { [UInt8(text.utf8.count), 0] + Array(text.utf8) }
    let expected =
      number(1_700_000_000) + number(1_700_000_001) + number(5) + [1] + number(1_700_000_030) + [2, 1]
      + field("$y$j9T$salt/salt.salt$") + [1] + number(30) + [1, 6]
      + number(0) + number(1_700_000_000) + number(0) + field("phone") + [2] + number(12) + [1, 6]
      + number(0) + number(1_700_000_000) + number(1_700_000_002) + field("token")
    #expect(Array(report.dropFirst(6)) == expected)
  }

  // MARK: A change

  @Test func aChangeOfSixteenDevicesIsParsedAsItWasEncoded() throws {
    let devices = (0..<16).map { number in
      totpDevice(digits: 8, name: String(repeating: String(number, radix: 16), count: 64), secret: longSecret(number))
    }
    let codes = (0..<32).map { "backup-code " + hash(Array("abcdefghijklmnopqrstuvwxyz012345")[$0]) }
    let text = Array(credentialText(devices: devices, backupCodes: codes).utf8)
    #expect(text.count < Credential.maximumLength)
    guard
      var change = EnrollmentChange(
        adding: text.span, keepsDevices: true, keepsBackupCodes: true, removedDevice: Array("old".utf8).span)
    else { throw Missing(what: "memory") }
    for number in 0..<16 {
      let isAdded = change.add(LoginState.DeviceState(nextFactor: .max - UInt64(number), lastUsedAt: -1))
      #expect(isAdded)
    }
    let isAdded = change.add(LoginState.DeviceState())
    #expect(!isAdded)

    let whole = bytes(HelperRequest.replace(change, ticket: [UInt8](repeating: 7, count: 24).span))
    #expect(whole.count > text.count)
    let message = try buffer(Array(whole.dropFirst(4)))
    var reader = MessageReader()
    let ticket = array(reader.field(of: message.bytes))
    let parsed = try EnrollmentChange(&reader, of: message.bytes)
    let again = bytes(HelperRequest.replace(parsed, ticket: ticket.span))
    #expect(again == whole)

    // One state more, and half a state.
    for excess in [16, 8] {
      let longer = try buffer(Array(whole.dropFirst(4)) + [UInt8](repeating: 0, count: excess))
      var reader = MessageReader()
      _ = reader.field(of: longer.bytes)
      #expect(throws: HelperStatus.malformed) { _ = try EnrollmentChange(&reader, of: longer.bytes) }
    }
  }

  private func longSecret(_ number: Int) -> String {
    String(repeating: "A", count: 200) + String(Array("ABCDEFGHIJKLMNOP")[number]) + "AAA"
  }

  @Test func everyTruncationOfAChangeIsMalformed() throws {
    guard
      let change = EnrollmentChange(
        adding: Array("addition".utf8).span, keepsDevices: false, keepsBackupCodes: false, removedDevice: [1].span)
    else { throw Missing(what: "memory") }
    let whole = bytes(HelperRequest.replace(change, ticket: [2, 3].span))
    for count in 6..<whole.count {
      let message = try buffer(Array(whole[4..<count]))
      var reader = MessageReader()
      _ = reader.field(of: message.bytes)
      #expect(throws: HelperStatus.malformed) { _ = try EnrollmentChange(&reader, of: message.bytes) }
    }
  }
}
