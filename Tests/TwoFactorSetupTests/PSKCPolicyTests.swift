import KeyFormats
import Testing

@Suite struct PSKCPolicyTests {
  private func text(_ policy: String, device: String = "") -> String {
    PSKCSample.container(PSKCSample.package(rest: "<Policy>\(policy)</Policy>", device: device))
  }

  @Test(arguments: [
    ("<KeyUsage>OTP</KeyUsage><KeyUsage>CR</KeyUsage>", []),
    ("<StartDate>2023-11-14T22:13:20Z</StartDate>", []),
    ("<ExpiryDate>2023-11-14T23:13:20.5+01:00</ExpiryDate>", ["ExpiryDate is not enforced"]),
    ("<NumberOfTransactions>9</NumberOfTransactions>", ["NumberOfTransactions, a limit of logins, is not enforced"]),
    (#"<PINPolicy PINUsageMode="Local" MinLength="4"/>"#, ["The PIN is left out; the device checks it"]),
  ])
  func aPolicyThatPermitsCodesIsRemarkedOn(policy: String, remarks: [String]) throws {
    let entry = try PSKCSample.entry(text(policy))
    #expect(entry.remarks == remarks)
    #expect(throws: Never.self) { try entry.device.get() }
  }

  @Test(arguments: [
    ("<KeyUsage>Encrypt</KeyUsage>", "its KeyUsage does not permit one-time passwords"),
    ("<StartDate>2023-11-14T22:13:21Z</StartDate>", "its StartDate is in the future, so the key must not be used yet"),
    ("<ExpiryDate>2023-11-14T22:13:19Z</ExpiryDate>", "its ExpiryDate has passed, so the key must not be used"),
    ("<ExpiryDate>2023-11-14T23:13:20+02:00</ExpiryDate>", "its ExpiryDate has passed, so the key must not be used"),
    ("<ExpiryDate>2020-01-01</ExpiryDate>", "its ExpiryDate has passed, so the key must not be used"),
    ("<ExpiryDate>01/01/2030</ExpiryDate>", "ExpiryDate is not a date like 2026-01-31T12:00:00Z"),
    (#"<PINPolicy PINUsageMode="Append"/>"#, "codes that contain a PIN are not supported (PINUsageMode)"),
    (#"<PINPolicy PINUsageMode="Algorithmic"/>"#, "codes that contain a PIN are not supported (PINUsageMode)"),
    ("<PINPolicy/>", "the PINUsageMode of PINPolicy is unknown, so the key must not be used"),
    (
      #"<PINPolicy PINUsageMode="Local" Weekdays="1"/>"#,
      "PINPolicy contains something unknown, so the key must not be used"
    ),
    ("<Weekdays/>", "Weekdays in Policy is unknown, so the key must not be used"),
  ])
  func aPolicyThatForbidsCodesOrIsUnknownIsRejected(policy: String, problem: String) throws {
    #expect(try PSKCSample.problem(text(policy)) == problem)
  }

  @Test func theDatesOfTheDeviceCount() throws {
    let expired = text("", device: "<ExpiryDate>2020-01-01T00:00:00Z</ExpiryDate>")
    #expect(try PSKCSample.problem(expired) == "its ExpiryDate has passed, so the key must not be used")
  }
}
