import Enrollment
import FixedMemory
import OneTimePassword

/// A line in the log of Yubico's personalization tool, which has no header. Source: `yubikeylogger.cpp` of
/// yubikey-personalization-gui.
struct YubiKeyLog {
  /// In the traditional format, the first field; in the Yubico format nil.
  private let event: String?
  private let fields: [CSVField]

  private static let events = [
    "logging start", "yubico otp", "oath-hotp", "static password", "challenge-response", "configuration update",
    "configuration swap", "unknown programming mode",
  ]

  /// Nil if the record is in neither format: `OATH-HOTP,TIME,SLOT,…`, and `SERIAL,ID,COUNTER,KEY,CODE,TIME,`.
  init?(_ record: CSVRecord, of text: Span<UInt8>) {
    guard record.fields.count > 1 else { return nil }
    fields = record.fields
    let first = record.fields[0].text(in: text).lowercased()
    if let event = Self.events.first(where: { first == $0 || first.hasPrefix($0 + ":") }) {
      self.event = event
      return
    }
    event = nil
    guard first.utf8.allSatisfy({ $0.decimalDigit != nil }), record.fields.count > 5,
      Self.isTime(record.fields[5].text(in: text))
    else { return nil }
  }

  private static func isTime(_ text: String) -> Bool {
    let form = "0000-00-00T00:00:00"
    return text.utf8.count == form.utf8.count
      && zip(text.utf8, form.utf8).allSatisfy { $1 == UInt8(ascii: "0") ? $0.decimalDigit != nil : $0 == $1 }
  }

  static func entries(of text: Span<UInt8>, _ reading: KeyFileReading, upTo most: Int) -> [KeyEntry] {
    var lines = CSVText(text)
    var entries: [KeyEntry] = []
    while entries.count < most, let record = lines.next(in: text) {
      let log = YubiKeyLog(record, of: text)
      if log?.event == "logging start" { continue }
      var remarks: [String] = []
      let device = Result { () throws(FormatProblem) in
        if let problem = record.problem { throw problem }
        guard let log else { throw FormatProblem("the line is not of the YubiKey Personalization Tool") }
        return try log.device(of: text, reading, &remarks)
      }.mapError { $0.at(record.line) }
      var entry = KeyEntry(device, line: record.line)
      entry.serial = log?.event == nil ? log?.value(0, of: text) : nil
      entry.remarks = remarks
      entries.append(entry)
    }
    return entries
  }

  /// Nil if empty.
  private func value(_ index: Int, of text: Span<UInt8>) -> String? {
    guard fields.indices.contains(index) else { return nil }
    let value = fields[index].text(in: text)
    return value.isEmpty ? nil : value
  }

  private func device(
    of text: Span<UInt8>, _ reading: KeyFileReading, _ remarks: inout [String]
  ) throws(FormatProblem) -> DeviceDraft {
    // Some languages write a comma in the time, the second field.
    let shift = fields.count == 19 ? 1 : 0
    let isTraditional = event != nil
    guard event ?? "oath-hotp" == "oath-hotp" else {
      throw FormatProblem("only OATH-HOTP of a YubiKey is supported")
    }
    let (identifier, factor, key) = isTraditional ? (3 + shift, 12 + shift, 5 + shift) : (1, 2, 3)
    guard fields.indices.contains(key), let counter = UInt64(value(factor, of: text) ?? "") else {
      throw FormatProblem("only OATH-HOTP of a YubiKey is supported")
    }
    guard value(identifier, of: text) == nil else {
      throw FormatProblem(
        "the YubiKey types its token identifier before the code, and no login accepts that",
        hint: "program it again without OATH Token Identifier")
    }
    guard counter < LoginState.highestCounter else { throw .counterOutOfRange }
    var digits = reading.digits
    if isTraditional {
      switch value(11 + shift, of: text) {
      case "6": digits = .six
      case "8": digits = .eight
      default: throw FormatProblem("the number of digits must be 6 or 8")
      }
    } else if digits == nil {
      remarks.append("Not in the file, so assumed: codes of 6 digits (--digits)")
    }
    return DeviceDraft(
      key: try SharedKey(hexadecimal: text.slice(fields[key].range)), kind: .hotp(counter: counter),
      digits: digits ?? .six)
  }
}
