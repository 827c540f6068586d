import FixedMemory
import OneTimePassword
import Testing
import Verification

@Suite struct ReplyTests {
  /// A parsed reply.
  private struct Read: Equatable {
    var digits: CodeDigits?
    var value: UInt32?
    var backupCode = ""
    var problem: Reply.Problem?
  }

  private func read(_ typed: String) -> Read { read(Array(typed.utf8)) }

  private func read(_ typed: [UInt8]) -> Read {
    do throws(Reply.Problem) {
      let reply = try Reply(typed.span)
      return Read(
        digits: reply.code(.six) != nil ? .six : reply.code(.eight) != nil ? .eight : nil,
        value: reply.code(.six) ?? reply.code(.eight), backupCode: text(reply.backupCode.bytes))
    } catch {
      return Read(problem: error)
    }
  }

  @Test(arguments: ["123456", "123 456", " 123456 ", "1 2 3 4 5 6", "\t123456", "12 34 56\t"])
  func blanksInACodeAreIgnored(typed: String) {
    #expect(read(typed) == Read(digits: .six, value: 123_456))
  }

  @Test func leadingZerosAreSignificant() {
    #expect(read("000123") == Read(digits: .six, value: 123))
    #expect(read("123").problem == .malformed)
    #expect(read("00000000") == Read(digits: .eight, value: 0, backupCode: "00000000"))
    #expect(read("99999999") == Read(digits: .eight, value: 99_999_999, backupCode: "99999999"))
  }

  @Test(
    arguments: [
      "ABCDE-FGHJK", "abcde-fghjk", "ABCDEFGHJK", "abcde fghjk", " a b c d e f g h j k ", "AbCdE--FgHjK-",
    ])
  func aBackupCodeIsAcceptedInAnyForm(typed: String) {
    #expect(read(typed) == Read(backupCode: "ABCDEFGHJK"))
  }

  @Test func lettersThatLookLikeDigitsAreReadAsDigits() {
    #expect(read("OoIiLl-0101") == Read(backupCode: "0011110101"))
    #expect(read("0123456789") == Read(backupCode: "0123456789"))
  }

  @Test(arguments: ["", " ", "\t \t"]) func anEmptyReplyIsNoReply(typed: String) {
    #expect(read(typed).problem == .empty)
  }

  @Test(
    arguments: [
      "12345", "1234567", "123456789", "12345678901", "abcdef", "12345a", "12-34-56", "123456-", "-", "ABCDE-FGHJU",
      "ABCDE-FGHJ", "ABCDE-FGHJKM", "１２３４５６", "123456\n", "123456\r", "12\u{0}3456", "123\u{7f}456", "١٢٣٤٥٦",
      "+123456",
      "123456.0", "0x1234", String(repeating: " ", count: 65), String(repeating: "1", count: 4096), "ABCDE_FGHJK",
    ])
  func anythingElseIsMalformed(typed: String) {
    #expect(read(typed).problem == .malformed)
  }

  /// The end of a password as six digits, eight digits and backup code, and the length of the backup code.
  private func end(_ password: String, hasScratchCodes: Bool = false) -> String {
    do throws(Reply.Problem) {
      let reply = try Reply(endOf: Array(password.utf8).span, hasScratchCodes: hasScratchCodes)
      let (six, eight) = (reply.code(.six).map(String.init) ?? "-", reply.code(.eight).map(String.init) ?? "-")
      return "\(six) \(eight) \(text(reply.backupCode.bytes)) \(reply.backupCodeTyped) \(reply.isScratchCode)"
    } catch {
      return error == .empty ? "empty" : "malformed"
    }
  }

  @Test func theEndOfAPasswordIsReadAsEveryKindOfCode() {
    #expect(end("secret!123456") == "123456 -  0 false")
    #expect(end("se!cret123456") == "123456 - CRET123456 10 false")
    #expect(end("secret!!12345678") == "345678 12345678  0 false")
    #expect(end("secret!!12345678", hasScratchCodes: true) == "345678 12345678 12345678 8 true")
    #expect(end("secretABCDE-FGHJK") == "- - ABCDEFGHJK 11 false")
    #expect(end("secretabcdefghjk", hasScratchCodes: true) == "- - ABCDEFGHJK 10 false")
    #expect(end("000000") == "0 -  0 false")
    #expect(end("") == "empty")
    for password in ["secret!", "12345", "secret!12345", "secret 12345 6!", "uuuuuuuuuu", "ABCDE-FGHJ"] {
      #expect(end(password) == "malformed", "\(password)")
    }
  }

  @Test func noReplyTraps() {
    for length in 0..<66 {
      for byte in UInt8.min ... .max {
        let bytes = [UInt8](repeating: byte, count: length)
        _ = read(bytes)
        _ = end(String(decoding: bytes, as: UTF8.self), hasScratchCodes: true)
      }
    }
  }
}
