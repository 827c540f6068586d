import ArgumentParser
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles

/// `twofactor import --all`: imports the keys of every account, each in a child process with the identity of the
/// account. Every account is enrolled atomically, so that an interrupted import can be repeated.
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
    let plan = try plan(settings)
    var reports: [ImportReport] = []
    for account in plan.accounts {
      guard let report = report(on: account, settings) else { continue }
      reports.append(report)
      if !options.common.json { try OutputStream.standardOutput.write(report.line + "\n") }
    }
    let imported = reports.count { $0.outcome.isImported }
    if options.common.json {
      var members: [(String, JSONValue)] = [("users", .array(reports.map { $0.json(settings) }))]
      members += plan.leftovers?.members ?? []
      try OutputStream.standardOutput.write(JSONValue.object(members).text + "\n")
    } else {
      let unchanged = reports.count { $0.outcome.isUnchanged }
      try OutputStream.standardOutput.write(
        (plan.leftovers?.text ?? "") + "\(imported) of \(reports.count) accounts imported"
          + (unchanged > 0 ? ", \(unchanged) unchanged.\n" : ".\n"))
    }
    guard reports.allSatisfy({ !$0.outcome.isFailure }), plan.leftovers?.problems.isEmpty ?? true else {
      throw ExitCode(ExitStatus.refused.rawValue)
    }
  }

  private func plan(_ settings: HostSettings) throws -> ImportPlan {
    if let path = options.path, options.from == .googleAuthenticator || options.from == nil && path.isDirectory {
      guard options.map == nil else { throw Self.mapIsUnused }
      return try ImportPlan(homes: HomeFiles(path), limits: settings.limits)
    }
    let keys = try options.keys(
      in: readText(options.path), at: Terminal(json: true), settings: settings, now: SystemClock.now)
    switch keys.format {
    case .oath:
      guard options.map == nil else { throw Self.mapIsUnused }
      return ImportPlan(accountsOf: keys)
    case .pskc, .csv:
      guard let path = options.map else { return try ImportPlan(accountsOrLeftoversOf: keys) }
      let text = try readText(path)
      do throws(FormatProblem) {
        return try ImportPlan(keys, AccountMap(parsing: text.bytes), source: path.printable)
      } catch {
        throw SetupError(.unusableData, "\(path.printable): \(error.text)", hint: "each line must be SERIAL,ACCOUNT")
      }
    case .googleAuthenticator:
      throw SetupError(
        .usage, "--all needs a directory with \(HomeFiles.name) files in directories named after the accounts",
        hint: "for one file: twofactor import --user NAME FILE")
    default:
      throw SetupError(
        .unusableData, "\(options.source): \(keys.format.title): it does not name accounts of this host",
        hint: "import it for one account: twofactor import --user NAME FILE")
    }
  }

  private static let mapIsUnused = SetupError(
    .usage, "--map is for seed files and PSKC files", hint: "omit --map: the accounts are named in the files")

  /// Rejects a file that others than root can write, because it decides everyone's keys. A nil path means standard
  /// input.
  private func readText(_ path: String?) throws -> SecretBuffer {
    guard let path else { return try ImportSource.readStandardInput(Terminal(json: true)) }
    if let text = try ImportSource.readRootFile(path) { return text }
    do throws(Errno) {
      // SAFETY: the string is NUL-terminated.
      _ = try unsafe OpenFile.following(path, for: .status)
    } catch {
      throw SetupError(error == .noSuchFile ? .noSuchFile : .inputOutput, "cannot open \(path): \(error.text)")
    }
    throw SetupError(
      .notPermitted, "\(path): others than root can write the file or a directory of its path",
      hint: path == options.map
        ? "they could choose every user's token: copy the file to a directory of root"
        : "they could choose every user's key; if you trust them: twofactor import --all < FILE")
  }

  /// Nil if the account has no file.
  private func report(on account: ImportPlan.Account, _ settings: HostSettings) -> ImportReport? {
    var report = ImportReport(user: account.user)
    do {
      guard let keys = try account.keys() else { return nil }
      report.serials = keys.entries.compactMap(\.serial)
      let imported: ImportedEnrollment
      do throws(FormatProblem) {
        imported = try ImportedEnrollment(
          keys.entries, remarks: keys.remarks, name: options.name, limits: settings.limits, now: SystemClock.now)
      } catch {
        throw keys.unusable(error)
      }
      report.outcome = try importKeys(imported, for: account) ? .imported(imported) : .unchanged
    } catch {
      report.outcome = .failure(error as? SetupError ?? SetupError(.refused, "interrupted"))
    }
    return report
  }

  /// Returns false if the account already has these keys.
  private func importKeys(_ imported: ImportedEnrollment, for account: ImportPlan.Account) throws -> Bool {
    let unchanged = "unchanged"
    let failure = ChildProcess.failure {
      let session = try Session(user: account.user, json: true, subcommand: "import", changesRegister: true)
      guard !account.isNamedByKeys || session.account.nameText == account.user else {
        throw SetupError(.noSuchAccount, "no such account: \(account.user)")
      }
      let standing = try session.store.standing()
      if case .enrolled = standing, !options.force, (try? session.store.hasKeys(of: imported.devices)) == true {
        // An earlier import may have ended before.
        session.register.add()
        throw SetupError(.refused, unchanged)
      }
      try session.requireFree(standing, force: options.force)
      try ImportChange(session: session, options: options, imported: imported).makeSilently(over: standing)
    }
    guard let failure else { return true }
    if failure.message == unchanged { return false }
    throw failure
  }
}

extension EnrollmentStore {
  /// Whether the enrollment has exactly the keys and parameters of these devices, in any order.
  fileprivate func hasKeys(of devices: [DeviceDraft]) throws -> Bool {
    if let helper { return try helper.hasKeys(of: devices) }
    return try read(mending: false) { credential, state in
      guard credential.deviceCount == devices.count else { return false }
      for index in 0..<credential.deviceCount {
        guard let status = DeviceStatus(of: credential, at: index, state: state) else { return false }
        let own = try DeviceDraft(status, of: credential)
        guard devices.contains(where: { $0.hasKey(of: own) }) else { return false }
      }
      return true
    }
  }
}

extension HelperRoute {
  fileprivate func hasKeys(of devices: [DeviceDraft]) throws -> Bool {
    guard let enrolled = try report()?.devices, enrolled.count == devices.count else { return false }
    let credential = try credential()
    for status in enrolled {
      let own = try DeviceDraft(status, of: credential)
      guard devices.contains(where: { $0.hasKey(of: own) }) else { return false }
    }
    return true
  }
}

extension DeviceDraft {
  fileprivate func hasKey(of other: DeviceDraft) -> Bool {
    kind.period == other.kind.period && algorithm == other.algorithm && digits == other.digits
      && key.isEqual(to: other.key)
  }
}

extension String {
  fileprivate var isDirectory: Bool {
    // SAFETY: the string is NUL-terminated.
    (try? unsafe FileStatus(of: self, followsSymlink: true))?.isDirectory == true
  }
}

private struct ImportReport {
  enum Outcome {
    case imported(ImportedEnrollment)
    case unchanged
    case failure(SetupError)

    var isImported: Bool { if case .imported = self { true } else { false } }
    var isUnchanged: Bool { if case .unchanged = self { true } else { false } }
    var isFailure: Bool { if case .failure = self { true } else { false } }
  }

  let user: String
  var serials: [String] = []
  var outcome = Outcome.unchanged

  var line: String {
    let serials =
      serials.isEmpty
      ? "" : " serial number\(serials.count == 1 ? "" : "s") \(serials.map(\.printable).joined(separator: ", "))"
    switch outcome {
    case .imported(let imported):
      let kinds = imported.devices.map { DeviceStatus($0).description }.joined(separator: "; ")
      return "\(user.printable): imported\(serials) (\(kinds))"
        + imported.remarks.map { ". \($0.line.printable)" }.joined()
    case .unchanged: return "\(user.printable): unchanged, it already has\(serials.isEmpty ? " these keys" : serials)"
    case .failure(let error): return "\(user.printable): not imported: \(error.message.printable)"
    }
  }

  func json(_ settings: HostSettings) -> JSONValue {
    let directory = try? EnrollmentStore(account: UserAccount.existing(named: user), settings: settings).directory
    var members: [(String, JSONValue)] = [
      ("user", .string(user)), ("imported", .bool(outcome.isImported)), ("unchanged", .bool(outcome.isUnchanged)),
      ("directory", .optional(directory)), ("serials", .array(serials.map { .string($0) })),
    ]
    switch outcome {
    case .imported(let imported):
      members.append(("devices", .array(imported.devices.map { DeviceStatus($0).json })))
      members.append(("warnings", .array(imported.remarks.map { .string($0.line) })))
      members += [("error", .null), ("hint", .null)]
    case .unchanged:
      members += [("devices", .array([])), ("warnings", .array([])), ("error", .null), ("hint", .null)]
    case .failure(let error):
      members += [("devices", .array([])), ("warnings", .array([]))]
      members += [("error", .string(error.message)), ("hint", .optional(error.hint))]
    }
    return .object(members)
  }
}
