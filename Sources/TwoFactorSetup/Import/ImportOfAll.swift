import ArgumentParser
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles

/// `twofactor import --all`: imports every account of a users file, each in a child process with the identity of the
/// account.
struct ImportOfAll {
  let options: ImportCommand

  /// They contain the accounts of a host, or tokens with serial numbers.
  static let formats: [KeyFileFormat] = [.googleAuthenticator, .oath, .pskc, .csv]

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may import every account", hint: "for your own account: twofactor import FILE")
    }
    let settings = try HostSettings.load()
    let keys = try parse(readText(), settings)
    var seen: Set<[UInt8]> = []
    let users = keys.entries.compactMap(\.account).filter { seen.insert(Array($0.utf8)).inserted }
    let entries = try users.map { user in
      let entry = ImportReport(
        user: user, outcome: importAccount(user, of: keys, settings), settings: settings)
      if !options.common.json { try OutputStream.standardOutput.write(entry.line + "\n") }
      return entry
    }
    let imported = entries.filter(\.isImported).count
    if options.common.json {
      try OutputStream.standardOutput.write(
        JSONValue.object([("users", .array(entries.map(\.json)))]).text + "\n")
    } else {
      try OutputStream.standardOutput.write("\(imported) of \(entries.count) accounts imported.\n")
    }
    if imported < entries.count { throw ExitCode(ExitStatus.refused.rawValue) }
  }

  /// Rejects a file that others than root can write, because it decides everyone's keys.
  private func readText() throws -> SecretBuffer {
    guard let path = options.path else { return try ImportSource.readStandardInput(Terminal(json: true)) }
    if let text = try ImportSource.readRootFile(path) { return text }
    do throws(Errno) {
      // SAFETY: the string is NUL-terminated.
      _ = try unsafe OpenFile.following(path, for: .status)
    } catch {
      throw SetupError(error == .noSuchFile ? .noSuchFile : .inputOutput, "cannot open \(path): \(error.text)")
    }
    throw SetupError(
      .notPermitted, "\(path): others than root can write the file or a directory of its path",
      hint: "they could choose every user's key; if you trust them: twofactor import --all < FILE")
  }

  private func parse(_ text: borrowing SecretBuffer, _ settings: HostSettings) throws -> ImportedKeys {
    try options.keys(
      in: text, at: Terminal(json: true), settings: settings, now: SystemClock.now)
  }

  private func importAccount(
    _ user: String, of keys: ImportedKeys, _ settings: HostSettings
  ) -> Result<ImportedEnrollment, SetupError> {
    let imported: ImportedEnrollment
    do throws(FormatProblem) {
      imported = try ImportedEnrollment(
        keys.entries.filter { $0.account.map { Array($0.utf8) } == Array(user.utf8) }, name: options.name,
        limits: settings.limits, now: SystemClock.now)
    } catch {
      return .failure(keys.unusable(error))
    }
    let failure = ChildProcess.failure {
      let session = try Session(user: user, json: true, subcommand: "import", changesRegister: true)
      let standing = try session.store.standing()
      try session.requireFree(standing, force: options.force)
      try ImportChange(session: session, options: options, imported: imported).makeSilently(over: standing)
    }
    return failure.map { .failure($0) } ?? .success(imported)
  }
}

private struct ImportReport {
  let user: String
  let outcome: Result<ImportedEnrollment, SetupError>
  let settings: HostSettings

  var isImported: Bool { (try? outcome.get()) != nil }

  var line: String {
    switch outcome {
    case .success(let imported):
      let kinds = imported.devices.map { DeviceStatus($0).description }.joined(separator: "; ")
      return "\(user.printable): imported (\(kinds))" + imported.remarks.map { "; \($0.line.printable)" }.joined()
    case .failure(let error): return "\(user.printable): not imported: \(error.message.printable)"
    }
  }

  var json: JSONValue {
    let directory = try? EnrollmentStore(account: UserAccount.existing(named: user), settings: settings).directory
    var members: [(String, JSONValue)] = [
      ("user", .string(user)), ("imported", .bool(isImported)), ("directory", .optional(directory)),
    ]
    switch outcome {
    case .success(let imported):
      members.append(("devices", .array(imported.devices.map { DeviceStatus($0).json })))
      members.append(("warnings", .array(imported.remarks.map { .string($0.line) })))
      members += [("error", .null), ("hint", .null)]
    case .failure(let error):
      members += [("devices", .array([])), ("warnings", .array([]))]
      members += [("error", .string(error.message)), ("hint", .optional(error.hint))]
    }
    return .object(members)
  }
}
