import FixedMemory
import OneTimePassword
import Testing
import Verification

@Suite struct ReplyTests {
  /// A reply as it was read.
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
        digits: reply.deviceCode?.digits, value: reply.deviceCode?.value, backupCode: text(reply.backupCode.bytes))
    } catch {
      return Read(problem: error)
    }
  }

  @Test(arguments: ["123456", "123 456", " 123456 ", "1 2 3 4 5 6", "\t123456", "12 34 56\t"])
  func blanksInACodeDoNotCount(typed: String) {
    #expect(read(typed) == Read(digits: .six, value: 123_456))
  }

  @Test func leadingZerosCount() {
    #expect(read("000123") == Read(digits: .six, value: 123))
    #expect(read("123").problem == .malformed)
    #expect(read("00000000") == Read(digits: .eight, value: 0, backupCode: "00000000"))
    #expect(read("99999999") == Read(digits: .eight, value: 99_999_999, backupCode: "99999999"))
  }

  @Test(
    arguments: [
      "ABCDE-FGHJK", "abcde-fghjk", "ABCDEFGHJK", "abcde fghjk", " a b c d e f g h j k ", "AbCdE--FgHjK-",
    ])
  func aBackupCodeIsReadInAnyForm(typed: String) {
    #expect(read(typed) == Read(backupCode: "ABCDEFGHJK"))
  }

  @Test func lettersThatLookLikeDigitsAreDigits() {
    #expect(read("OoIiLl-0101") == Read(backupCode: "0011110101"))
    #expect(read("0123456789") == Read(backupCode: "0123456789"))
  }

  @Test(arguments: ["", " ", "\t \t"]) func nothingIsNoReply(typed: String) {
    #expect(read(typed).problem == .empty)
  }

  @Test(
    arguments: [
      "12345", "1234567", "123456789", "12345678901", "abcdef", "12345a", "12-34-56", "123456-", "-", "ABCDE-FGHJU",
      "ABCDE-FGHJ", "ABCDE-FGHJKM", "１２３４５６", "123456\n", "123456\r", "12\u{0}3456", "123\u{7f}456", "١٢٣٤٥٦",
      "+123456",
      "123456.0", "0x1234", String(repeating: " ", count: 65), String(repeating: "1", count: 4096), "ABCDE_FGHJK",
    ])
  func everythingElseIsNoCode(typed: String) {
    #expect(read(typed).problem == .malformed)
  }

  @Test func noBytesMakeItTrap() {
    for length in 0..<66 {
      for byte in UInt8.min ... .max { _ = read([UInt8](repeating: byte, count: length)) }
    }
  }
}
