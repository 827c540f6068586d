import Enrollment
import FixedMemory
import OneTimePassword

/// A seed file of a token vendor: one token a line, in CSV. Sources: the import formats of Microsoft Entra, Token2,
/// Deepnet, Feitian, LinOTP, privacyIDEA, NetIQ and PingID, and the logs of Yubico's personalization tool.
package enum SeedFile {
  /// Whether the first line is a header with a column for keys, or of a log of Yubico's personalization tool.
  static func isRecognized(_ text: Span<UInt8>) -> Bool {
    var lines = CSVText(text)
    guard let first = lines.next(in: text) else { return false }
    let names = names(in: first, of: text)
    // Any sentence that contains a word for a key could be a header separated by blanks.
    return YubiKeyLog(first, of: text) != nil
      || isHeader(names) && (!lines.isSeparatedByBlanks || names.allSatisfy { SeedColumns.column(named: $0) != nil })
  }

  private static func names(in record: CSVRecord, of text: Span<UInt8>) -> [String] {
    record.fields.map { $0.text(in: text) }
  }

  private static func isHeader(_ names: [String]) -> Bool {
    names.contains { SeedColumns.column(named: $0)?.isKey == true }
  }

  /// A line needs a kilobyte of memory.
  private static let mostTokens = 250_000
  static let tooMany = FormatProblem("it contains more than \(mostTokens) tokens")

  /// An entry for each line.
  ///
  /// - Throws: ``FormatProblem`` if the columns or the type of the codes are unknown.
  package static func entries(of text: Span<UInt8>, _ reading: KeyFileReading) throws(FormatProblem) -> [KeyEntry] {
    var lines = CSVText(text)
    guard let first = lines.next(in: text) else { throw FormatProblem("it contains no token") }
    let names = names(in: first, of: text)
    let hasHeader = isHeader(names)
    if reading.columns == nil, !hasHeader, YubiKeyLog(first, of: text) != nil {
      let entries = YubiKeyLog.entries(of: text, reading, upTo: mostTokens + 1)
      guard entries.count <= mostTokens else { throw tooMany }
      return entries
    }
    let named = reading.columns.map { SeedColumns($0) }
    guard let columns = try named == nil ? SeedColumns(header: names) : named else {
      throw FormatProblem(
        line: first.line, "it has no header that names the columns",
        hint: "name the columns, with - for one to ignore: --columns \(CSVColumn.example)")
    }
    var records = hasHeader ? [] : [first]
    while let record = lines.next(in: text) {
      guard records.count < mostTokens else { throw tooMany }
      records.append(record)
    }
    guard !records.isEmpty else { throw FormatProblem("it contains no token") }
    guard
      reading.isCounterBased != nil
        || columns.columns.contains(where: { [.type, .period, .counter, .algorithm].contains($0) })
    else {
      throw FormatProblem(
        "it does not say whether the tokens are time-based or counter-based",
        hint: "ask the vendor, then use --type totp or --type hotp")
    }
    let key = columns.columns.firstIndex(where: \.isKey) ?? 0
    let encoding = SeedKeyEncoding(
      of: columns.columns[key], records.compactMap { $0.fields.indices.contains(key) ? $0.fields[key].range : nil },
      in: text)
    return records.map { SeedRow($0, of: text, columns).entry(reading, encoding) }
  }
}

private struct SeedRow: ~Escapable {
  private let record: CSVRecord
  private let text: Span<UInt8>
  private let columns: SeedColumns

  @_lifetime(copy text)
  init(_ record: CSVRecord, of text: Span<UInt8>, _ columns: SeedColumns) {
    self.record = record
    self.text = text
    self.columns = columns
  }

  func entry(_ reading: KeyFileReading, _ encoding: SeedKeyEncoding) -> KeyEntry {
    var remarks: [String] = []
    let device = Result { () throws(FormatProblem) in try self.device(reading, encoding, &remarks) }
      .mapError { $0.at(record.line) }
    var entry = KeyEntry(device, line: record.line)
    entry.serial = value(.serial)
    entry.issuer = value(.issuer)
    entry.account = value(.account)
    if let serial = entry.serial, Self.isRoundedNumber(serial) {
      entry.remarks.append("A spreadsheet changed the serial number to \(serial.printable)")
    }
    entry.remarks += remarks
    if !columns.ignored.isEmpty, case .success = device {
      entry.remarks.append("\(columns.ignored.joined(separator: ", ")): unknown, ignored")
    }
    return entry
  }

  private func device(
    _ reading: KeyFileReading, _ encoding: SeedKeyEncoding, _ remarks: inout [String]
  ) throws(FormatProblem) -> DeviceDraft {
    if let problem = record.problem { throw problem }
    try requireKnownFields()
    let words = try CodeWords(type: value(.type), algorithm: value(.algorithm))
    let key = try key(encoding)
    let counter = try number(.counter)
    let period = try number(.period) ?? words.period
    guard words.period ?? period == period else { throw FormatProblem("type and time step contradict each other") }
    var assumed: [String] = []
    let kind: Device.Kind
    if try isCounterBased(words, hasPeriod: period ?? 0 > 0, hasCounter: counter != nil, reading) {
      guard counter ?? 0 < LoginState.highestCounter else { throw .counterOutOfRange }
      kind = .hotp(counter: counter ?? 0)
    } else {
      let seconds = period.map { Int64(clamping: $0) } ?? reading.period ?? DeviceDraft.defaultPeriod
      guard TimeStep.periods.contains(seconds) else { throw FormatProblem("the period must be 15 to 300 seconds") }
      if period == nil, reading.period == nil { assumed.append("time steps of 30 seconds (--period)") }
      kind = .totp(period: seconds)
    }
    let digits = try digits(words) ?? reading.digits
    if digits == nil { assumed.append("codes of 6 digits (--digits)") }
    let algorithm = words.algorithm ?? reading.algorithm
    let length = key.withBytes { $0.count }
    if algorithm == nil, length == 32 || length == 64 {
      remarks.append(
        "The key has \(length) bytes, which is usual for \(length == 32 ? "SHA-256" : "SHA-512"), but the file does "
          + "not name it: SHA-1 is assumed (--algorithm)")
    }
    if !assumed.isEmpty {
      remarks.append("Not in the file, so assumed: \(assumed.joined(separator: ", "))")
    }
    return DeviceDraft(key: key, kind: kind, algorithm: algorithm ?? .sha1, digits: digits ?? .six)
  }

  /// - Throws: A problem if the line has more fields than columns, or a value that may change the codes.
  private func requireKnownFields() throws(FormatProblem) {
    let count = columns.columns.count
    guard record.fields.dropFirst(count).allSatisfy({ $0.range.isEmpty }) else {
      throw FormatProblem("it has \(record.fields.count) fields, but there are \(count) columns")
    }
    for (index, name) in columns.doubtful.sorted(by: { $0.key < $1.key }) where record.fields.indices.contains(index) {
      let value = record.fields[index].text(in: text).lowercased()
      guard Self.emptyValues.contains(value) || ["0", "no", "false"].contains(value) else {
        throw FormatProblem(
          "the column \(name) may change the codes, and is unknown",
          hint: "if it does not, name the columns, with - for one to ignore: --columns \(CSVColumn.example)")
      }
    }
  }

  private func isCounterBased(
    _ words: CodeWords, hasPeriod: Bool, hasCounter: Bool, _ reading: KeyFileReading
  ) throws(FormatProblem) -> Bool {
    if let isCounterBased = words.isCounterBased ?? reading.isCounterBased { return isCounterBased }
    guard hasPeriod != hasCounter else {
      throw FormatProblem(
        "it does not say whether the token is time-based or counter-based", hint: "use --type totp or --type hotp")
    }
    return hasCounter
  }

  private func digits(_ words: CodeWords) throws(FormatProblem) -> CodeDigits? {
    guard let number = try number(.digits) else { return words.digits }
    guard let digits = UInt8(exactly: number).flatMap(CodeDigits.init) else {
      throw number == 7 ? .sevenDigits : FormatProblem("the number of digits must be 6 or 8")
    }
    guard words.digits ?? digits == digits else {
      throw FormatProblem("type and number of digits contradict each other")
    }
    return digits
  }

  private func key(_ encoding: SeedKeyEncoding) throws(FormatProblem) -> SharedKey {
    guard let index = columns.columns.firstIndex(where: \.isKey), record.fields.indices.contains(index),
      !record.fields[index].range.isEmpty
    else { throw FormatProblem("the key is empty") }
    return try encoding.key(text.slice(record.fields[index].range))
  }

  /// Nil if the column is absent or the field empty.
  private func value(_ column: CSVColumn) -> String? {
    guard let index = columns.columns.firstIndex(of: column), record.fields.indices.contains(index) else { return nil }
    let value = record.fields[index].text(in: text)
    return Self.emptyValues.contains(value.lowercased()) ? nil : value
  }

  private static let emptyValues: Set<String> = ["", "-", "n/a", "none", "null"]

  /// Ignores a unit, as in `30 s`.
  private func number(_ column: CSVColumn) throws(FormatProblem) -> UInt64? {
    guard let value = value(column) else { return nil }
    let digits = value.prefix { $0.isASCII && $0.isNumber }
    let unit = value.dropFirst(digits.count).lowercased().filter { $0 != " " }
    guard let number = UInt64(digits), ["", "s", "sec", "secs", "second", "seconds", "digits"].contains(unit) else {
      throw FormatProblem("the field \(column.rawValue) is not a number")
    }
    return number
  }

  /// As in 1.23E+12.
  private static func isRoundedNumber(_ text: String) -> Bool {
    let parts = text.utf8.split(separator: UInt8(ascii: "E"), omittingEmptySubsequences: false)
    guard parts.count == 2, let exponent = parts.last, exponent.first == UInt8(ascii: "+") else { return false }
    return exponent.dropFirst().allSatisfy { $0.decimalDigit != nil }
      && parts[0].allSatisfy { $0.decimalDigit != nil || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ",") }
  }
}

/// The values of the columns type and algorithm: some vendors write TOTP or SHA-1 in either, or both in one.
private struct CodeWords {
  private(set) var isCounterBased: Bool?
  private(set) var algorithm: HashAlgorithm?
  private(set) var digits: CodeDigits?
  /// In seconds.
  private(set) var period: UInt64?

  init(type: String?, algorithm: String?) throws(FormatProblem) {
    for (text, name) in [(type, "type"), (algorithm, "algorithm")] {
      if let text { try add(text, name) }
    }
  }

  private mutating func add(_ text: String, _ column: String) throws(FormatProblem) {
    var words = String(
      String.UnicodeScalarView(
        text.lowercased().unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }))
    if words.hasPrefix("urnietfparamsxmlnskeyprovpskc") { words.removeFirst(29) }
    func take(_ word: String) -> Bool {
      guard let part = words.firstRange(of: word) else { return false }
      words.removeSubrange(part)
      return true
    }
    for word in ["oath", "hmac"] { _ = take(word) }
    for (word, value) in [("sha256", HashAlgorithm.sha256), ("sha512", .sha512), ("sha1", .sha1)] where take(word) {
      guard algorithm ?? value == value else { throw Self.contradiction }
      algorithm = value
      break
    }
    let kinds = [
      ("totp", false), ("hotp", true), ("timebased", false), ("counterbased", true), ("eventbased", true),
      ("time", false),
      ("event", true), ("counter", true),
    ]
    for (word, value) in kinds where take(word) {
      guard isCounterBased ?? value == value else { throw Self.contradiction }
      isCounterBased = value
      break
    }
    switch words {
    case "": break
    case "6": digits = .six
    case "8": digits = .eight
    case "30", "60": period = words == "30" ? 30 : 60
    case _ where words.hasPrefix("ocra"): throw FormatProblem("OCRA tokens are not supported")
    default:
      throw FormatProblem(
        column == "type" ? "unknown token type" : "the algorithm must be SHA1, SHA256 or SHA512",
        hint: column == "type" ? "known types: TOTP and HOTP" : nil)
    }
  }

  private static let contradiction = FormatProblem("type and algorithm contradict each other")
}
