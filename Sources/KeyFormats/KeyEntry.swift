import Enrollment
import FixedMemory
import OneTimePassword

/// An account of an imported text, with the labels that people recognize it by.
package struct KeyEntry {
  /// As the app shows it; nil if unknown.
  package var issuer: String?
  /// The account label or user name; nil if unknown.
  package var account: String?
  /// Of a token; nil if unknown.
  package var serial: String?
  /// Counted from 1; nil if the format has no lines.
  package var line: Int?
  /// Eight digits each.
  package var scratchCodes: [String] = []
  /// What was left out: sentences without full stop.
  package var remarks: [String] = []
  /// The device, or why it cannot be used.
  package var device: Result<DeviceDraft, FormatProblem>

  package init(_ device: Result<DeviceDraft, FormatProblem>, line: Int? = nil) {
    self.device = device
    self.line = line
    if case .success(let draft) = device { (issuer, account) = (draft.issuer, draft.account) }
  }

  /// Whether `issuer: account` or the serial number contains the text, in any case.
  package func matches(_ text: String) -> Bool {
    let names = [issuer, account].compactMap(\.self).joined(separator: ": ")
    return [names, serial ?? ""].contains { $0.lowercased().containsBytes(of: text.lowercased()) }
  }
}

extension String {
  /// Compares bytes: as Characters, a letter with a combining accent is another one.
  func containsBytes(of part: String) -> Bool {
    part.isEmpty || utf8.indices.contains { utf8[$0...].starts(with: part.utf8) }
  }
}

/// The options of `import` for a parser.
package struct KeyFileReading {
  /// If the text does not say.
  package var digits: CodeDigits?
  /// In seconds, if the text does not say.
  package var period: Int64?
  /// If the text does not say.
  package var algorithm: HashAlgorithm?
  /// Whether the codes are counter-based, if the text does not say.
  package var isCounterBased: Bool?
  /// The columns of a CSV file without a header.
  package var columns: [CSVColumn]?
  /// Asks for the key or passphrase of encrypted keys. Any error ends the import.
  package var unlock: (KeyFileLock) throws -> SecretBuffer = { _ in throw FormatProblem.isEncrypted }
  /// Unix time.
  package var now: Int64

  package init(now: Int64) { self.now = now }
}

/// How the keys of a file are encrypted.
package enum KeyFileLock: Sendable {
  /// With an AES key of this many bytes; `name` is the file's name for it, printable, nil if it has none.
  case presharedKey(length: Int, name: String?)
  case passphrase
}

/// A field of a seed file.
package enum CSVColumn: String, CaseIterable, Sendable {
  case serial, key, type, period, digits, counter, algorithm, issuer, account
  /// Keys of one encoding.
  case hexKey = "hexkey"
  case base32Key = "base32key"
  case base64Key = "base64key"
  /// Ignored.
  case other = "-"
}

extension FormatProblem {
  static let isEncrypted = FormatProblem("the keys are encrypted")
}
