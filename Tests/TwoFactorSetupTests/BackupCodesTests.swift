import Enrollment
import FixedMemory
import Testing

@testable import TwoFactorSetup

@Suite struct BackupCodesTests {
  @Test func codesHaveTenCharactersOfCrockfordsAlphabetInTwoGroups() throws {
    let codes = try BackupCodes(count: 32).codes
    #expect(Set(codes).count == 32)
    for code in codes {
      let groups = code.split(separator: "-")
      #expect(groups.map(\.count) == [5, 5])
      #expect(groups.joined().allSatisfy { "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains($0) })
    }
  }

  @Test func hashesShareOneSaltAndMatchTheCodes() throws {
    let codes = try BackupCodes(count: 3)
    let hashes = try codes.hashes()
    let settings = hashes.map { $0.split(separator: "$", omittingEmptySubsequences: false).dropLast() }
    #expect(Set(hashes).count == 3)
    #expect(settings.allSatisfy { $0 == settings[0] && $0[1] == "y" })
    for (code, hash) in zip(codes.codes, hashes) {
      let isValid = BackupCodeHash.isValid(hash.utf8.span)
      #expect(isValid)
      #expect(try hashed(code.filter { $0 != "-" }, like: hash) == hash)
    }
  }

  private func hashed(_ phrase: String, like hash: String) throws -> String {
    guard var again = SecretBuffer(capacity: 200),
      BackupCodeHash.make(phrase.utf8.span, setting: hash.utf8.span, into: &again)
    else { throw Missing(what: "hash") }
    return again.text
  }

  @Test func eachSetHasItsOwnSalt() throws {
    let codes = try BackupCodes(count: 1)
    #expect(try codes.hashes() != codes.hashes())
  }

  @Test func columnsAreNumberedDown() throws {
    let lines = try BackupCodes(count: 10).columns.split(separator: "\n")
    #expect(lines.count == 5)
    #expect(lines[0].hasPrefix("   1  ") && lines[0].contains("   6  "))
    #expect(lines[4].hasPrefix("   5  ") && lines[4].contains("  10  "))
    #expect(try BackupCodes(count: 3).columns.split(separator: "\n").count == 2)
    #expect(try BackupCodes(count: 0).columns.isEmpty)
  }
}
