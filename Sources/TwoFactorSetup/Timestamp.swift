/// A moment in whole seconds since the Unix epoch, 64 bits wide, and its date in UTC.
struct Timestamp: Equatable {
  let seconds: Int64

  /// The moment in the form of RFC 3339: `2026-01-31T12:00:00Z`.
  var text: String {
    "\(date)T\(clock(separator: ":"))Z"
  }

  /// The moment for a person: `2026-01-31 12:00 UTC`.
  var readable: String { "\(date) \(clock(separator: ":").dropLast(3)) UTC" }

  /// The time of day for a person: `12:00:00 UTC`.
  var clock: String { "\(clock(separator: ":")) UTC" }

  private var daySeconds: Int64 {
    let rest = seconds % 86_400
    return rest < 0 ? rest + 86_400 : rest
  }

  /// The date in the Gregorian calendar, counted in eras of 400 years that begin on 1 March, so that the leap
  /// day is the last day of a year.
  var date: String {
    let days = (seconds - daySeconds) / 86_400 + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))"
  }

  private func clock(separator: String) -> String {
    [daySeconds / 3_600, daySeconds / 60 % 60, daySeconds % 60].map { Self.padded($0, 2) }
      .joined(separator: separator)
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
