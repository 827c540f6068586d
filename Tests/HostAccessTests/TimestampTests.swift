import HostAccess
import Testing

@Suite struct TimestampTests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
      (1_709_251_199, "2024-02-29T23:59:59Z"), (1_709_251_200, "2024-03-01T00:00:00Z"),
      (2_147_483_648, "2038-01-19T03:14:08Z"), (4_107_542_400, "2100-03-01T00:00:00Z"),
      (4_294_967_296, "2106-02-07T06:28:16Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
    ] as [(Int64, String)])
  func timesAreFormattedAsRFC3339(seconds: Int64, text: String) {
    #expect(Timestamp(seconds: seconds).text == text)
  }

  @Test func readableTimesEndWithTheMinute() {
    #expect(Timestamp(seconds: 1_709_251_199).readable == "2024-02-29 23:59 UTC")
  }
}
