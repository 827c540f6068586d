import FixedMemory
import HostAccess
import KeyFormats
import Verification

/// The accounts of an imported text.
struct ImportedKeys {
  let format: KeyFileFormat
  /// The name of the file, printable.
  let source: String
  private(set) var entries: [KeyEntry]
  /// On settings of the whole text.
  private(set) var remarks: [ImportRemark]

  /// A nil `format` is detected.
  ///
  /// - Throws: ``SetupError`` if the text is unusable; errors of ``KeyFileReading/unlock``.
  init(
    parsing text: Span<UInt8>, from source: String, format chosen: KeyFileFormat?, _ reading: KeyFileReading,
    limits: VerificationLimits
  ) throws {
    self.source = source
    guard (0..<text.count).contains(where: { !text[$0].isBlank && text[$0] != UInt8(ascii: "\n") }) else {
      throw SetupError(.unusableData, "\(source): it is empty")
    }
    guard let format = chosen ?? KeyFileFormat(of: text) else {
      if Self.isKey(text) {
        throw SetupError(
          .unusableData, "\(source): it is a key without the properties of its codes",
          hint: "to type it: twofactor enable --ask-key")
      }
      if let unread = UnreadFormat(of: text) {
        throw SetupError(.unusableData, "\(source): it is \(unread.name), which cannot be read", hint: unread.hint)
      }
      throw SetupError(
        .unusableData, "\(source): unknown format",
        hint: "to see why, name the format with --from: "
          + KeyFileFormat.allCases.map(\.rawValue).joined(separator: ", ")
          + "; a csv file without a header needs --columns")
    }
    self.format = format
    do {
      entries = try format.entries(of: text, reading).withoutRepetitions
      remarks =
        format == .googleAuthenticator ? try GoogleAuthenticatorFile(parsing: text).remarks(limits: limits) : []
    } catch let problem as FormatProblem {
      throw Self.unusable(problem, source, format)
    } catch let library as MissingLibrary {
      throw SetupError(
        .configuration, "\(library.file), which \(library.use), is not installed",
        hint: "install \(library.name) (\(library.debianPackage))")
    }
  }

  private static func isKey(_ text: Span<UInt8>) -> Bool {
    let end = (0..<text.count).first { text[$0] == UInt8(ascii: "\n") || text[$0] == UInt8(ascii: "\r") } ?? text.count
    return text.count - end <= 2 && (try? SharedKey.typed(text.slice(from: 0, to: end))) != nil
  }

  static func unusable(_ problem: FormatProblem, _ source: String, _ format: KeyFileFormat) -> SetupError {
    SetupError(.unusableData, "\(source): \(format.title): \(problem.text)", hint: problem.hint)
  }

  /// Some of the entries, with more remarks.
  func with(_ entries: [KeyEntry], _ remarks: [ImportRemark] = []) -> ImportedKeys {
    var part = self
    part.entries = entries
    part.remarks += remarks
    return part
  }

  func unusable(_ problem: FormatProblem) -> SetupError { Self.unusable(problem, source, format) }
}

extension ImportedKeys {
  /// The devices of one account of this host: from a users file all of the user, else the one that the user chooses.
  /// `text` is `--select`, or nil to ask at a terminal. `name` is for the device.
  func chosen(for user: String, matching text: String?, name: String, at terminal: Terminal) throws -> [KeyEntry] {
    if format == .oath {
      guard text == nil else {
        throw SetupError(.usage, "--select is not for users files", hint: "to name the account, as root: --user NAME")
      }
      let ofUser = entries.filter { $0.account.map { Array($0.utf8) } == Array(user.utf8) }
      guard !ofUser.isEmpty else { throw unusable(FormatProblem("it contains no token of \(user.printable)")) }
      return ofUser
    }
    if let text {
      let matching = entries.filter { $0.matches(text) }
      guard matching.count == 1 else {
        throw refusal(
          matching.isEmpty
            ? "no account matches --select: \(list(entries))"
            : "\(matching.count) accounts match --select: \(list(matching))")
      }
      return matching
    }
    if entries.count == 1 { return entries }
    guard terminal.isInteractive else { throw refusal("it contains \(entries.count) accounts: \(list(entries))") }
    return try [ask(name: name, at: terminal)]
  }

  private func refusal(_ message: String) -> SetupError {
    SetupError(
      .unusableData, "\(source): \(format.title): \(message)",
      hint: "choose one with --select TEXT, where TEXT is a part of its issuer, name or serial number")
  }

  private func list(_ entries: [KeyEntry]) -> String { entries.map(\.label).joined(separator: "; ") }

  /// Asks for a number of the list, or a part of a name.
  private func ask(name: String, at terminal: Terminal) throws -> KeyEntry {
    let width = String(entries.count).count
    var text = "\(source): \(format.title) with \(entries.count) accounts:\n"
    for (index, entry) in entries.enumerated() {
      let number = String(index + 1)
      text += "  " + String(repeating: " ", count: width - number.count) + "\(number)  \(entry.label)"
      if case .failure(let problem) = entry.device { text += ": cannot be used: \(problem.text)" }
      text += "\n"
    }
    try terminal.show(
      text + "The device of your login will be called \(name.printable) (--name changes it).\n")
    while true {
      let answer = try terminal.ask("Number, or a part of the name: ").text
      let matching = answer.isEmpty ? [] : entries.filter { $0.matches(answer) }
      let numbered = Int(answer).flatMap { entries.indices.contains($0 - 1) ? entries[$0 - 1] : nil }
      if let entry = numbered ?? (matching.count == 1 ? matching[0] : nil) {
        guard case .failure(let problem) = entry.device else { return entry }
        let hint = problem.hint.map { " (\($0))" } ?? ""
        try terminal.show(
          "\(entry.label) cannot be used: \(problem.text)\(hint). Choose another one, or press Ctrl-C.\n")
        continue
      }
      try terminal.show(
        matching.isEmpty
          ? "Please answer with a number from 1 to \(entries.count), or a part of a name. To give up, press Ctrl-C.\n"
          : "\(matching.count) accounts match: \(list(matching))\n")
    }
  }
}

extension KeyEntry {
  /// Issuer, account and serial number as far as known, printable.
  var label: String {
    let names = [issuer, account].compactMap(\.self).filter { !$0.isEmpty }.map(\.printable).joined(separator: ": ")
    let parts = [names, serial.map { "serial number \($0.printable)" } ?? ""].filter { !$0.isEmpty }
    if !parts.isEmpty { return parts.joined(separator: ", ") }
    return line.map { "line \($0)" } ?? "an account without a name"
  }
}

extension [KeyEntry] {
  /// A text can contain a URI twice, for example as text and as QR code.
  fileprivate var withoutRepetitions: [KeyEntry] {
    // Bytes: as Strings, two spellings in Unicode are equal, and these are two accounts.
    var seen: [[[UInt8]?]: Set<String>] = [:]
    return filter { entry in
      guard case .success(let device) = entry.device else { return true }
      let labels = [entry.issuer, entry.account, entry.serial].map { $0.map { Array<UInt8>($0.utf8) } }
      return seen[labels, default: []].insert(device.uri).inserted
    }
  }
}
