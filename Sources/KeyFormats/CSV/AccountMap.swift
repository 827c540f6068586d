import FixedMemory

/// Assigns tokens to accounts: a CSV text of `serial,account` lines. A header is allowed, and can name the columns in
/// another order.
package struct AccountMap {
  package struct Line {
    /// Counted from 1.
    package let number: Int
    package let serial: String
    package let account: String
  }

  package private(set) var lines: [Line] = []
  /// Of lines without serial number or account.
  package private(set) var problems: [FormatProblem] = []

  /// - Throws: ``FormatProblem`` if the text contains no line.
  package init(parsing text: Span<UInt8>) throws(FormatProblem) {
    guard let decoded = try ImportedText.decoded(text) else {
      try parse(text)
      return
    }
    try parse(decoded.bytes)
  }

  private mutating func parse(_ text: Span<UInt8>) throws(FormatProblem) {
    var records = CSVText(text)
    var (serial, account) = (0, 1)
    var isFirst = true
    while let record = records.next(in: text) {
      let fields = record.fields.map { $0.text(in: text) }
      defer { isFirst = false }
      if isFirst {
        let names = fields.map { SeedColumns.column(named: $0) }
        if let first = names.firstIndex(of: .serial), let second = names.firstIndex(of: .account) {
          (serial, account) = (first, second)
          continue
        }
      }
      if let problem = record.problem {
        problems.append(problem)
      } else if fields.count <= max(serial, account) || fields[serial].isEmpty || fields[account].isEmpty {
        problems.append(FormatProblem(line: record.line, "it must be SERIAL,ACCOUNT"))
      } else if serial == 0, account == 1, fields.dropFirst(2).contains(where: { !$0.isEmpty }) {
        problems.append(FormatProblem(line: record.line, "it must be SERIAL,ACCOUNT"))
      } else {
        lines.append(Line(number: record.line, serial: fields[serial], account: fields[account]))
      }
    }
    guard !lines.isEmpty || !problems.isEmpty else { throw FormatProblem("it contains no line") }
  }

  /// Equal for serial numbers that differ only in case and blanks.
  package static func comparable(_ serial: String) -> String { serial.lowercased().filter { $0 != " " && $0 != "\t" } }
}
