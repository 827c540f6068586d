import FixedMemory
import Testing

@testable import LoginPolicy

@Suite struct NetworkAddressTests {
  private func contains(_ network: String, _ address: String) -> Bool? {
    guard let network = Network(Array(network.utf8).span), let address = NetworkAddress(Array(address.utf8).span) else {
      return nil
    }
    return network.contains(address)
  }

  @Test(
    arguments: [
      ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
      ("0.0.0.0/0", "255.255.255.255", true),
      ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false), ("192.0.2.128/25", "192.0.2.127", false),
      ("10.0.0.0/9", "10.127.255.255", true), ("10.0.0.0/9", "10.128.0.0", false),
      ("192.0.2.0/24", "::ffff:192.0.2.9", true), ("::ffff:192.0.2.0/120", "192.0.2.9", true),
      ("192.0.2.0/24", "::ffff:c000:209", true), ("192.0.2.0/24", "0:0:0:0:0:FFFF:C000:0209", true),
      ("::ffff:c000:200/120", "::ffff:192.0.2.9", true), ("::ffff:0:0/96", "192.0.2.9", true),
      ("0.0.0.0/0", "::ffff:192.0.2.9", true), ("::/0", "::ffff:192.0.2.9", false),
      ("::/64", "::ffff:192.0.2.9", false), ("192.0.2.0/24", "::192.0.2.9", false),
      ("192.0.2.0/24", "::ffff:0:192.0.2.9", false), ("192.0.2.0/24", "64:ff9b::192.0.2.9", false),
      ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "192.0.2.9", false), ("::/0", "2001:db8::1", true),
      ("2001:db8::/33", "2001:db8:7fff::", true), ("2001:db8::/33", "2001:db8:8000::", false),
      ("fe80::/10", "fe80::1%eth0", true), ("::1", "::1", true), ("::1", "127.0.0.1", false),
    ])
  func aNetworkContainsItsAddresses(network: String, address: String, expected: Bool) {
    #expect(contains(network, address) == expected)
  }

  @Test(
    arguments: [
      "", "localhost", "192.0.2", "192.0.2.256", "192.0.2.01", "0x7f000001", "2130706433", "1.2.3.4.5", " 192.0.2.1",
      "192.0.2.1 ", "::1%", "192.0.2.1%eth0", "::ffff:192.0.2.1%eth0", ":::", "2001:db8::1::", "192.0.2.1\u{0}",
      "fe80::1/64", "[::1]",
      String(repeating: "1", count: 100), "192.0.2.1.example.org",
    ])
  func anInvalidAddressIsRejected(text: String) {
    #expect(address(text) == nil)
  }

  private func address(_ text: String) -> NetworkAddress? { NetworkAddress(Array(text.utf8).span) }

  @Test func anIPv4MappedAddressEqualsTheIPv4Address() throws {
    let plain = try #require(address("192.0.2.1"))
    let mapped = try #require(address("::ffff:192.0.2.1"))
    let zoned = try #require(address("fe80::1%2"))
    let unzoned = try #require(address("fe80::1"))
    #expect(plain == mapped)
    #expect(plain.isIPv4)
    #expect(zoned != unzoned)
    #expect(zoned.hasZone)
  }

  @Test func aServiceThatMayReportHostNamesHasAReason() {
    for value in 0..<HostNameService.count {
      guard let service = HostNameService(rawValue: value) else {
        Issue.record("\(value) is no service")
        continue
      }
      #expect(HostNameService.named(service.name.bytes) == service)
      #expect(service.reason.string.contains(" reports the name that "))
    }
    #expect(HostNameService(rawValue: HostNameService.count) == nil)
    for other in ["sshd", "su", "logi", "login2", "vsftpd", ""] {
      #expect(HostNameService.named(Array(other.utf8).span) == nil)
    }
  }

  @Test func aListIsSplitAtCommas() {
    for (list, expected) in [
      ("a", ["a"]), ("a,b", ["a", "b"]), (" a , b ", ["a", "b"]), ("", []), ("a,,b", ["a", "", "b"]),
      (",a", ["", "a"]), ("a,", ["a"]), (",", [""]), ("wheel, domain users ,1000", ["wheel", "domain users", "1000"]),
    ] {
      let bytes = Array(list.utf8)
      var words = ListWords()
      var found: [String] = []
      while let word = words.next(in: bytes.span) { found.append(text(word)) }
      #expect(found == expected, "\(list)")
    }
  }
}

@Suite struct CalendarDayTests {
  @Test func aDayIsParsedAsItIsWritten() throws {
    for number in stride(from: Int64(0), through: 2_932_896, by: 251) {
      var written = ByteText(capacity: 15)
      CalendarDay(rawValue: number).append(to: &written)
      let parsed = CalendarDay(written.bytes)
      #expect(parsed?.rawValue == number)
    }
  }

  @Test(
    arguments: [
      (0, "1970-01-01"), (-1, "1969-12-31"), (-719_468, "0000-03-01"), (11_016, "2000-02-29"), (47_541, "2100-03-01"),
      (2_932_896, "9999-12-31"), (2_932_897, "10000-01-01"),
    ] as [(Int64, String)])
  func aDayIsWrittenAsADate(number: Int64, text: String) {
    var written = ByteText(capacity: 15)
    CalendarDay(rawValue: number).append(to: &written)
    #expect(written.string == text)
  }

  @Test(
    arguments: [
      "2026-02-29", "2026-02-30", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00", "2026-99-99", "1969-12-31",
      "2100-02-29", "2026-1-01", "2026-01-1x", "",
    ])
  func aDayThatDoesNotExistIsRejected(text: String) {
    #expect(CalendarDay(Array(text.utf8).span) == nil)
  }

  @Test func everyNumberOfDaysHasADate() {
    for number in [Int64.min, Int64.max, Int64.min / 2, -719_469] {
      var written = ByteText(capacity: 63)
      CalendarDay(rawValue: number).append(to: &written)
      #expect(written.count > 0)
    }
  }

  @Test func aMomentBelongsToADayOfUTC() {
    #expect(CalendarDay(of: 0).rawValue == 0)
    #expect(CalendarDay(of: 86_399).rawValue == 0)
    #expect(CalendarDay(of: 86_400).rawValue == 1)
    #expect(CalendarDay(of: -1).rawValue == -1)
    #expect(CalendarDay(of: -86_400).rawValue == -1)
    #expect(CalendarDay(of: Int64.min).rawValue < CalendarDay(of: Int64.max).rawValue)
    #expect(CalendarDay.secondsOfDay(-1) == 86_399)
    #expect(CalendarDay.secondsOfDay(86_401) == 1)
  }
}
