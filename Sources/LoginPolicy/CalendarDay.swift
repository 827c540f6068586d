public import FixedMemory

/// A day of the Gregorian calendar in UTC.
public struct CalendarDay: RawRepresentable, Equatable, Comparable, Sendable {
  /// Days since 1970-01-01; negative before.
  public var rawValue: Int64

  /// The day this many days after 1970-01-01.
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// The day of a Unix time.
  public init(of seconds: Int64) {
    rawValue = seconds / Self.length &- (seconds % Self.length < 0 ? 1 : 0)
  }

  /// Seconds since midnight; `seconds` is Unix time.
  public static func secondsOfDay(_ seconds: Int64) -> Int64 {
    let rest = seconds % length
    return rest < 0 ? rest &+ length : rest
  }

  /// Parses `YYYY-MM-DD`; nil unless it is a day from 1970 to 9999.
  public init?(_ text: Span<UInt8>) {
    guard text.count == 10, text.byte(at: 4) == UInt8(ascii: "-"), text.byte(at: 7) == UInt8(ascii: "-"),
      let year = Self.number(text.slice(from: 0, to: 4)), year >= 1970,
      let month = Self.number(text.slice(from: 5, to: 7)), let day = Self.number(text.slice(from: 8))
    else { return nil }
    let shiftedYear = year &- (month <= 2 ? 1 : 0)
    let shiftedMonth = month &+ (month <= 2 ? 9 : -3)
    let leapDays = shiftedYear / 4 &- shiftedYear / 100 &+ shiftedYear / 400
    rawValue = shiftedYear &* 365 &+ leapDays &+ (153 &* shiftedMonth &+ 2) / 5 &+ day &- 1 &- Self.epoch
    // Rejects month 13 or February 30, which became a day of another month.
    guard date == (year, month, day) else { return nil }
  }

  private static func number(_ digits: Span<UInt8>) -> Int64? {
    var value: Int64 = 0
    var indices = Counter(to: digits.count)
    while let index = indices.next() {
      guard let digit = digits.byte(at: index)?.decimalDigit else { return nil }
      value = value &* 10 &+ Int64(digit)
    }
    return value
  }

  /// Appends `YYYY-MM-DD`.
  public func append(to text: inout ByteText) {
    let (year, month, day) = date
    if year >= 0, year < 1000 { text.append(year < 10 ? "000" : year < 100 ? "00" : "0") }
    text.append(decimal: year)
    text.append(month < 10 ? "-0" : "-")
    text.append(decimal: month)
    text.append(day < 10 ? "-0" : "-")
    text.append(decimal: day)
  }

  /// Computes in eras of 400 years that begin on March 1, so that a leap day ends its year.
  private var date: (year: Int64, month: Int64, day: Int64) {
    let days = rawValue &+ Self.epoch
    let era = (days >= 0 ? days : days &- 146_096) / 146_097
    let dayOfEra = days &- era &* 146_097
    let yearOfEra = (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
    let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
    let month = shiftedMonth &+ (shiftedMonth < 10 ? 3 : -9)
    let year = yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1)
  }

  private static var length: Int64 { 86_400 }

  /// From March 1 of year 0 to 1970-01-01.
  private static var epoch: Int64 { 719_468 }

  /// Whether `left` is earlier than `right`.
  public static func < (left: CalendarDay, right: CalendarDay) -> Bool { left.rawValue < right.rawValue }
}
