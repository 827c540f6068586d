import FixedMemory
import LoginPolicy

/// Unix time in whole seconds, formatted in UTC.
package struct Timestamp: Equatable {
  package let seconds: Int64

  package init(seconds: Int64) { self.seconds = seconds }

  /// RFC 3339: `2026-01-31T12:00:00Z`.
  package var text: String { "\(date)T\(time)Z" }

  /// To the minute: `2026-01-31 12:00 UTC`.
  package var readable: String { "\(date) \(time.prefix(5)) UTC" }

  /// `12:00:00 UTC`.
  package var clock: String { "\(time) UTC" }

  /// `2026-01-31`.
  package var date: String {
    var text = ByteText(capacity: 32)
    CalendarDay(of: seconds).append(to: &text)
    return String(decoding: text.bytes)
  }

  private var time: String {
    let rest = CalendarDay.secondsOfDay(seconds)
    return [rest / 3_600, rest / 60 % 60, rest % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
  }
}
