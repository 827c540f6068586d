import FixedMemory
import LoginPolicy

/// The policy of a key (RFC 6030 section 5), and the dates of its device. A key with an unknown policy is rejected.
struct PSKCPolicy {
  private let policy: XMLElement?
  /// Drafts have the usages as attributes.
  private let usage: XMLElement?
  /// With StartDate and ExpiryDate.
  private let dated: [XMLElement]

  init(of key: XMLElement, _ package: XMLElement) throws(FormatProblem) {
    policy = try key.child("Policy")
    usage = try key.child("Usage")
    dated = [policy, key, try package.child("DeviceInfo", "DeviceId")].compactMap { $0 }
  }

  /// Appends the limits that the host does not enforce to `remarks`. `now` is Unix time.
  ///
  /// - Throws: A problem if the policy forbids one-time passwords, or is unknown.
  func check(now: Int64, _ remarks: inout [String]) throws(FormatProblem) {
    var usages: [String] = []
    for element in policy?.children ?? [] {
      switch element.name {
      case "StartDate", "ExpiryDate": break
      case "KeyUsage": usages.append(element.text ?? "")
      case "PINPolicy": try checkPIN(element, &remarks)
      case "NumberOfTransactions": remarks.append("NumberOfTransactions, a limit of logins, is not enforced")
      default: throw FormatProblem("\(element.plainName) in Policy is unknown, so the key must not be used")
      }
    }
    for attribute in usage?.attributes ?? [] where ["true", "1"].contains(attribute.value.lowercased()) {
      usages.append(attribute.name)
    }
    guard usages.isEmpty || usages.contains("OTP") else {
      throw FormatProblem("its KeyUsage does not permit one-time passwords")
    }
    try checkDates(now: now, &remarks)
  }

  private func checkPIN(_ element: XMLElement, _ remarks: inout [String]) throws(FormatProblem) {
    let known = ["pinkeyid", "pinusagemode", "maxfailedattempts", "minlength", "maxlength", "pinencoding"]
    guard element.children.isEmpty, element.attributes.allSatisfy({ known.contains($0.name.lowercased()) }) else {
      throw FormatProblem("PINPolicy contains something unknown, so the key must not be used")
    }
    switch element.attribute("pinusagemode") {
    case "Local": remarks.append("The PIN is left out; the device checks it")
    case "Prepend", "Append", "Algorithmic":
      throw FormatProblem("codes that contain a PIN are not supported (PINUsageMode)")
    default: throw FormatProblem("the PINUsageMode of PINPolicy is unknown, so the key must not be used")
    }
  }

  private func checkDates(now: Int64, _ remarks: inout [String]) throws(FormatProblem) {
    var expires = false
    for element in dated {
      if let start = try Self.time(try element.child("StartDate")), start > now {
        throw FormatProblem("its StartDate is in the future, so the key must not be used yet")
      }
      guard let end = try Self.time(try element.child("ExpiryDate", "Expiry")) else { continue }
      guard end >= now else {
        throw FormatProblem(
          "its ExpiryDate has passed, so the key must not be used",
          hint: "if the device may still be used, remove the element from a copy of the file")
      }
      expires = true
    }
    if expires { remarks.append("ExpiryDate is not enforced") }
  }

  /// Unix time of a date like `2026-01-31T12:00:00.5+01:00` (XML Schema part 2); UTC if it names no zone.
  private static func time(_ element: XMLElement?) throws(FormatProblem) -> Int64? {
    guard let element else { return nil }
    let problem = FormatProblem("\(element.name) is not a date like 2026-01-31T12:00:00Z")
    guard let text = element.text else { throw problem }
    let bytes = Array(text.utf8)
    guard let day = CalendarDay(bytes.span.slice(from: 0, to: 10)) else { throw problem }
    var rest = bytes.dropFirst(10)
    // The form of the rest; 0 is a digit.
    func numbers(_ form: String) -> [Int64]? {
      let part = rest.prefix(form.utf8.count)
      guard part.count == form.utf8.count,
        zip(part, form.utf8).allSatisfy({ $1 == UInt8(ascii: "0") ? $0.decimalDigit != nil : $0 == $1 })
      else { return nil }
      rest = rest.dropFirst(form.utf8.count)
      return part.split { $0.decimalDigit == nil }.map { $0.reduce(0) { $0 * 10 + Int64($1 - 0x30) } }
    }
    var seconds = day.rawValue * 86_400
    if let clock = numbers("T00:00:00") {
      seconds += clock[0] * 3600 + clock[1] * 60 + clock[2]
      if rest.first == UInt8(ascii: ".") { rest = rest.dropFirst().drop { $0.decimalDigit != nil } }
    }
    if let zone = numbers("+00:00") {
      seconds -= zone[0] * 3600 + zone[1] * 60
    } else if let zone = numbers("-00:00") {
      seconds += zone[0] * 3600 + zone[1] * 60
    } else if rest.first == UInt8(ascii: "Z") {
      rest = rest.dropFirst()
    }
    guard rest.isEmpty else { throw problem }
    return seconds
  }
}
