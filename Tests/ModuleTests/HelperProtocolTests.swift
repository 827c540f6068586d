import Enrollment
import FixedMemory
import HelperProtocol
import Testing

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

  @Test func onlyAKnownRequestIsAccepted() {
    #expect(status(of: [1, 5]) == .done)
    #expect(status(of: []) == .malformed)
    #expect(status(of: [1]) == .malformed)
    #expect(status(of: [2, 5]) == .unknownVersion)
    #expect(status(of: [1, 0]) == .unknownRequest)
    #expect(status(of: [1, 8, 0]) == .unknownRequest)
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
}
