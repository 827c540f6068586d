public import FixedMemory

/// A day of the Gregorian calendar in UTC.
public struct CalendarDay: RawRepresentable, Equatable, Comparable, Sendable {
  /// Days since 1 January 1970.
  public var rawValue: Int64

  /// The day so many days after 1 January 1970.
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// The day of a moment, given in seconds since the epoch.
  public init(of seconds: Int64) {
    // Rounded down, also before the epoch.
    let (quotient, remainder) = seconds.quotientAndRemainder(dividingBy: 86_400)
    rawValue = remainder < 0 ? quotient &- 1 : quotient
  }

  /// The day that a text names as `YYYY-MM-DD`; nil where there is no such day from 1970 to 9999.
  public init?(_ text: Span<UInt8>) {
    guard text.count == 10, text.byte(at: 4) == UInt8(ascii: "-"), text.byte(at: 7) == UInt8(ascii: "-"),
      let year = Self.number(text, from: 0, to: 4), let month = Self.number(text, from: 5, to: 7),
      let day = Self.number(text, from: 8, to: 10), year >= 1970, month >= 1, month <= 12, day >= 1,
      day <= Self.length(ofMonth: month, year: year)
    else { return nil }
    var days = day &- 1
    var earlier: Int64 = 1
    while earlier < month {
      days &+= Self.length(ofMonth: earlier, year: year)
      earlier &+= 1
    }
    let before = year &- 1
    // Days before the year, less the 719,162 days before 1970.
    rawValue = days &+ 365 &* before &+ before / 4 &- before / 100 &+ before / 400 &- 719_162
  }

  /// Adds the day as `YYYY-MM-DD`.
  public func append(to text: inout ByteText) {
    var year: Int64 = 1970
    var left = rawValue
    while year < 9999, left >= Self.length(ofYear: year) {
      left &-= Self.length(ofYear: year)
      year &+= 1
    }
    var month: Int64 = 1
    while month < 12, left >= Self.length(ofMonth: month, year: year) {
      left &-= Self.length(ofMonth: month, year: year)
      month &+= 1
    }
    text.append(decimal: year)
    text.append(month < 10 ? "-0" : "-")
    text.append(decimal: month)
    text.append(left < 9 ? "-0" : "-")
    text.append(decimal: left &+ 1)
  }

  /// Whether `left` is before `right`.
  public static func < (left: CalendarDay, right: CalendarDay) -> Bool { left.rawValue < right.rawValue }

  private static func number(_ text: Span<UInt8>, from start: Int, to end: Int) -> Int64? {
    var value: Int64 = 0
    var index = start
    while index < end {
      guard let digit = text.byte(at: index)?.decimalDigit else { return nil }
      value = value &* 10 &+ Int64(digit)
      index &+= 1
    }
    return value
  }

  private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func length(ofYear year: Int64) -> Int64 { isLeap(year) ? 366 : 365 }

  private static func length(ofMonth month: Int64, year: Int64) -> Int64 {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}
