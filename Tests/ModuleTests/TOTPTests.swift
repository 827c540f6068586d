import OneTimePassword
import Testing

/// The test vectors of RFC 6238, appendix B.
@Suite struct TOTPTests {
  static let table: [(seconds: Int64, sha1: UInt32, sha256: UInt32, sha512: UInt32)] = [
    (59, 94_287_082, 46_119_246, 90_693_936),
    (1_111_111_109, 7_081_804, 68_084_774, 25_091_201),
    (1_111_111_111, 14_050_471, 67_062_674, 99_943_326),
    (1_234_567_890, 89_005_924, 91_819_424, 93_441_116),
    (2_000_000_000, 69_279_037, 90_698_825, 38_618_901),
    (20_000_000_000, 65_353_130, 77_737_706, 47_863_826),
  ]

  @Test(arguments: table)
  func codesMatchRFC6238(row: (seconds: Int64, sha1: UInt32, sha256: UInt32, sha512: UInt32)) throws {
    let step = try #require(TimeStep(at: row.seconds, period: 30))
    for (algorithm, expected) in [(HashAlgorithm.sha1, row.sha1), (.sha256, row.sha256), (.sha512, row.sha512)] {
      guard let key = SharedSecret(rfc6238Secret(algorithm).span, algorithm: algorithm) else {
        throw Missing(what: "memory")
      }
      let eight = key.code(at: step.rawValue, digits: .eight)
      let six = key.code(at: step.rawValue, digits: .six)
      #expect(eight == expected)
      #expect(six == expected % 1_000_000)
    }
  }

  @Test(
    arguments: [
      (0, 30, 0), (29, 30, 0), (30, 30, 1), (59, 60, 0), (2_147_483_647, 30, 71_582_788),
      (2_147_483_648, 30, 71_582_788),
      (4_294_967_296, 30, 143_165_576), (Int64.max, 15, 614_891_469_123_651_720),
    ] as [(Int64, Int64, UInt64)])
  func aTimeStepIsTheNumberOfWholePeriods(seconds: Int64, period: Int64, expected: UInt64) {
    #expect(TimeStep(at: seconds, period: period)?.rawValue == expected)
  }

  @Test(arguments: [(-1, 30), (Int64.min, 30), (0, 0), (0, 14), (0, 301), (0, -30)] as [(Int64, Int64)])
  func timesBeforeTheEpochAndInvalidPeriodsHaveNoTimeStep(seconds: Int64, period: Int64) {
    #expect(TimeStep(at: seconds, period: period) == nil)
  }
}
