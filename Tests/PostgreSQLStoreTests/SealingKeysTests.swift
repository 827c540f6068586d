import Enrollment
import FixedMemory
import LoginPolicy
import Testing

@testable import PostgreSQLStore

@Suite struct SealingKeysTests {
  private static let first = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
  private static let second = String(repeating: "a5", count: 32)
  private static let generation = Generation(bytes: InlineArray { UInt8(0xa0 + $0) })

  /// "secret text\n" of the user ada in the group web, by another program, with the nonce 100, 101, … 111.
  private static let sealed =
    "01630dcd296465666768696a6b6c6d6e6f3b7ebd141c9d76ea5b1a2be2006a4602bb09003f2671a5f4eef7649a"

  private static func keys(_ text: String) throws -> SealingKeys {
    guard var buffer = SecretBuffer(capacity: text.utf8.count) else { throw NoMemory() }
    _ = buffer.append(text.utf8.span)
    return try SealingKeys(parsing: buffer)
  }

  private static func open(
    _ digits: String, of user: String = "ada", in group: String = "web", generation: Generation = generation,
    by keys: SealingKeys
  ) throws -> String {
    let bytes = try #require(Hexadecimal.bytes(digits))
    let opened = try keys.open(bytes.span, of: user, in: group, generation: generation)
    return String(validating: opened.bytes) ?? ""
  }

  private static func reason(_ body: () throws -> String) -> EnrollmentFailure.Reason? {
    do {
      _ = try body()
      return nil
    } catch {
      return (error as? StoreProblem)?.reason
    }
  }

  @Test func theFormatIsThatOfTheDocument() throws {
    let keys = try Self.keys(Self.first)
    #expect(keys.ids == ["630dcd29"])
    #expect(try Self.open(Self.sealed, by: keys) == "secret text\n")
  }

  @Test func theSealIsBoundToUserGroupAndGeneration() throws {
    let keys = try Self.keys(Self.first)
    #expect(Self.reason { try Self.open(Self.sealed, of: "bob", by: keys) } == .corrupt)
    #expect(Self.reason { try Self.open(Self.sealed, in: "mail", by: keys) } == .corrupt)
    #expect(Self.reason { try Self.open(Self.sealed, of: "", in: "web\0ada", by: keys) } == .corrupt)
    let other = Generation(bytes: InlineArray { UInt8(0xa0 + $0) ^ ($0 == 15 ? 1 : 0) })
    #expect(Self.reason { try Self.open(Self.sealed, generation: other, by: keys) } == .corrupt)
  }

  @Test func eachBitIsAuthenticated() throws {
    let keys = try Self.keys(Self.first)
    let bytes = try #require(Hexadecimal.bytes(Self.sealed))
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      let expected: EnrollmentFailure.Reason = (1...4).contains(index) ? .configuration : .corrupt
      #expect(Self.reason { try Self.open(Hexadecimal.text(changed.span), by: keys) } == expected)
    }
    for count in bytes.indices {
      let start = Array(bytes[..<count])
      #expect(Self.reason { try Self.open(Hexadecimal.text(start.span), by: keys) } == .corrupt)
    }
  }

  @Test func theFirstKeySealsAndAllOpen() throws {
    let old = try Self.keys(Self.first)
    let new = try Self.keys("\(Self.second)\n\n\(Self.first)\n")
    let waiting = try Self.keys("\(Self.first)\n+\(Self.second.uppercased())\n")
    let text = Array("text".utf8)
    let sealed = try new.seal(text.span, of: "ada", in: "web", generation: Self.generation)
    #expect(sealed.hasPrefix("01" + new.ids[0]) && new.ids[1] == old.ids[0])
    for keys in [new, waiting] {
      #expect(try Self.open(sealed, by: keys) == "text")
      #expect(try Self.open(Self.sealed, by: keys) == "secret text\n")
    }
    #expect(Self.reason { try Self.open(sealed, by: old) } == .configuration)
    let again = try waiting.seal(text.span, of: "ada", in: "web", generation: Self.generation)
    #expect(again.hasPrefix("01" + old.ids[0]))
  }

  @Test func noNonceIsUsedTwice() throws {
    let keys = try Self.keys(Self.first)
    let text = Array("text".utf8)
    let sealed = try (0..<100).map { _ in
      try keys.seal(text.span, of: "ada", in: "web", generation: Self.generation)
    }
    #expect(Set(sealed.map { $0.dropFirst(10).prefix(24) }).count == 100)
  }

  @Test(arguments: [
    "", "\n\n", "+", String(first.dropLast()), first + "0", "++" + first, "x" + first.dropFirst(), "# key",
    first + " " + first,
  ])
  func otherFilesAreRejected(_ text: String) {
    #expect(throws: PolicyProblem.self) { try Self.keys(text) }
  }

  @Test func hexadecimalDigitsGoBothWays() {
    let bytes = (0...255).map { UInt8($0) }
    #expect(Hexadecimal.bytes(Hexadecimal.text(bytes.span)) == bytes)
    #expect(Hexadecimal.bytes("0") == nil && Hexadecimal.bytes("0g") == nil && Hexadecimal.bytes("AF") == [0xaf])
  }

  @Test func literalsNeedNoEscaping() {
    for text in ["ada", "o'hara\\", "'; DROP TABLE x --", "ключ\u{0}"] {
      let literal = SQLLiteral.text(text)
      #expect(literal.hasPrefix("pg_catalog.convert_from(pg_catalog.decode('"))
      #expect(literal.utf8.filter { $0 == UInt8(ascii: "'") }.count == 6 && !literal.contains(";"))
    }
  }
}
