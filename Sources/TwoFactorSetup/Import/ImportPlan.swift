import HostAccess
import KeyFormats
import Verification

/// The assignment of keys to accounts.
struct ImportPlan {
  struct Account {
    let user: String
    /// Whether the keys themselves name the account, so that it must have exactly this name.
    var isNamedByKeys = false
    /// Nil if the account has no file. Throws ``SetupError``.
    let keys: () throws -> ImportedKeys?
  }

  /// Tokens and lines that belong to no account.
  struct Leftovers {
    /// Tokens that are not assigned to an account.
    var unassigned = 0
    /// Lines without an account, and why they are unusable. They make the import fail.
    var problems: [String] = []
    /// Why unassigned tokens are unusable.
    var remarks: [String] = []

    var text: String {
      (problems + remarks).map { "\($0.printable)\n" }.joined()
        + (unassigned > 0
          ? "\(unassigned) token\(unassigned == 1 ? " is" : "s are") not assigned to an account.\n" : "")
    }

    var members: [(String, JSONValue)] {
      [
        ("unassigned", .number(Int64(unassigned))), ("problems", .array(problems.map { .string($0) })),
        ("warnings", .array(remarks.map { .string($0) })),
      ]
    }
  }

  private(set) var accounts: [Account] = []
  /// Nil if every key belongs to an account.
  private(set) var leftovers: Leftovers?

  /// The accounts of a users file.
  init(accountsOf keys: ImportedKeys) {
    accounts = Self.grouped(keys).map { user, entries in Account(user: user) { keys.with(entries) } }
  }

  /// The accounts that a seed file or PSKC file names.
  ///
  /// - Throws: ``SetupError`` if it names none.
  init(accountsOrLeftoversOf keys: ImportedKeys) throws {
    guard keys.entries.contains(where: { $0.account != nil }) else {
      throw SetupError(
        .unusableData, "\(keys.source): \(keys.format.title): it does not say which account gets which token",
        hint: "name a file of lines SERIAL,ACCOUNT: twofactor import --all --map FILE \(keys.source)")
    }
    accounts = Self.grouped(keys).map { user, entries in
      Account(user: user, isNamedByKeys: true) { keys.with(entries) }
    }
    var leftovers = Leftovers()
    for entry in keys.entries where entry.account == nil {
      if case .failure(let problem) = entry.device {
        leftovers.problems.append("\(keys.source): \(problem.text)")
      } else {
        leftovers.unassigned += 1
      }
    }
    self.leftovers = leftovers
  }

  /// The accounts of a map. `source` is its name, printable.
  init(_ keys: ImportedKeys, _ map: AccountMap, source: String) {
    var indices: [String: [Int]] = [:]
    for (index, entry) in keys.entries.enumerated() {
      if let serial = entry.serial { indices[AccountMap.comparable(serial), default: []].append(index) }
    }
    var owners: [String: Set<[UInt8]>] = [:]
    for line in map.lines { owners[AccountMap.comparable(line.serial), default: []].insert(Array(line.account.utf8)) }
    var assigned: Set<Int> = []
    for (user, lines) in Self.grouped(map.lines, by: \.account) {
      var entries: [KeyEntry] = []
      var problem: String?
      var remarks: [ImportRemark] = []
      var seen: [String: Int] = [:]
      for line in lines {
        let serial = AccountMap.comparable(line.serial)
        let found = indices[serial] ?? []
        assigned.formUnion(found)
        if let first = seen[serial] {
          remarks.append(ImportRemark(text: "\(source): lines \(first) and \(line.number) are the same"))
          continue
        }
        seen[serial] = line.number
        if let why = Self.problem(line, found.map { keys.entries[$0] }, owners[serial]?.count ?? 0, keys) {
          problem = problem ?? "\(source): line \(line.number): \(why)"
        } else {
          entries += found.map { keys.entries[$0] }
        }
      }
      accounts.append(
        Account(user: user) { [entries, problem, remarks] in
          if let problem { throw SetupError(.unusableData, problem) }
          return keys.with(entries, remarks)
        })
    }
    var leftovers = Leftovers()
    leftovers.problems = map.problems.map { "\(source): \($0.text)" }
    leftovers.unassigned = keys.entries.count - assigned.count
    for (index, entry) in keys.entries.enumerated() where !assigned.contains(index) {
      if case .failure(let problem) = entry.device { leftovers.remarks.append("\(keys.source): \(problem.text)") }
    }
    self.leftovers = leftovers
  }

  /// Why a line of a map is unusable; nil if it is usable. `found` are the tokens with its serial number, `owners` is
  /// the number of accounts that get it.
  private static func problem(
    _ line: AccountMap.Line, _ found: [KeyEntry], _ owners: Int, _ keys: ImportedKeys
  ) -> String? {
    if owners > 1 { return "the serial number \(line.serial) is assigned to several accounts" }
    switch found.count {
    case 1: return nil
    case 0:
      let digits = line.serial.drop { $0 == "0" }
      let isNear = keys.entries.contains { entry in
        guard let serial = entry.serial, serial.allSatisfy(\.isNumber) else { return false }
        return serial.drop { $0 == "0" } == digits
      }
      return "\(keys.source) has no token with the serial number \(line.serial)"
        + (isNear ? ", only one with other leading zeros, which a spreadsheet may have removed" : "")
    default:
      let lines = found.compactMap(\.line).map(String.init).joined(separator: ", ")
      return "\(keys.source) has \(found.count) tokens with the serial number \(line.serial)"
        + (lines.isEmpty ? "" : ", in lines \(lines)")
    }
  }

  /// A file for each account.
  init(homes: HomeFiles, limits: VerificationLimits) throws {
    accounts = try homes.users().map { user in
      Account(user: user) { try homes.keys(of: user, limits: limits) }
    }
  }

  /// In the order of first appearance. Entries without an account are left out.
  private static func grouped(_ keys: ImportedKeys) -> [(String, [KeyEntry])] {
    grouped(keys.entries.filter { $0.account != nil }, by: { $0.account ?? "" })
  }

  /// Compares bytes: as Strings, two spellings in Unicode are equal, and these are two accounts.
  private static func grouped<Element>(_ elements: [Element], by name: (Element) -> String) -> [(String, [Element])] {
    var groups: [(String, [Element])] = []
    var indices: [[UInt8]: Int] = [:]
    for element in elements {
      let bytes = Array(name(element).utf8)
      if let index = indices[bytes] {
        groups[index].1.append(element)
      } else {
        indices[bytes] = groups.count
        groups.append((name(element), [element]))
      }
    }
    return groups
  }
}
