import ArgumentParser
import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

struct MoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "move",
    abstract: "Move enrollments to the configured place. Root only.",
    discussion: """
      Moves the enrollment of one account or of all accounts from another place to the one that \
      twofactor.conf names. Devices, used codes, backup codes and failures stay as they are. First set store or \
      directory in twofactor.conf, then run this command at once: in between, logins refuse the enrolled users.

      At any moment, logins accept at most one of the two places. If the command is killed, run it again: it \
      completes the move.

      To the host store, or to PostgreSQL: twofactor move --all --from home
      """)

  @Option(
    help: ArgumentHelp(
      "The old place: home (~/.twofactor), host (the host store), postgresql, or the old value of directory.",
      valueName: "place"),
    completion: .list(["home", "host", "postgresql"]))
  var from: String

  @Option(help: ArgumentHelp("Move the enrollment of this account.", valueName: "name"), completion: .accounts)
  var user: String?

  @Flag(help: "Move every enrollment in the old place.")
  var all = false

  @Flag(help: "Write one JSON object to standard output.")
  var json = false

  mutating func validate() throws {
    guard all == (user == nil) else { throw ValidationError("Name either --user or --all.") }
    guard isFromDatabase || (try? EnrollmentPath.isTemplate(template.utf8.span)) == true else {
      throw ValidationError("--from must be home, host, postgresql, or a value of directory.")
    }
  }

  private var template: String {
    switch from {
    case "home": String(decoding: EnrollmentPath.usualTemplate.bytes)
    case "host": String(decoding: EnrollmentPath.hostTemplate.bytes)
    default: from
    }
  }

  private var isFromDatabase: Bool { from == EnrollmentStore.database }

  private var isFromHostStore: Bool { template == String(decoding: EnrollmentPath.hostTemplate.bytes) }

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(.notPermitted, "only root may move enrollments", hint: "run it as root: sudo twofactor move")
    }
    let settings = try HostSettings.load()
    let isConfigured =
      isFromDatabase ? settings.isPostgreSQL : template.withTilde == settings.directoryTemplate.withTilde
    guard !isConfigured else {
      throw SetupError(
        .usage, "--from \(from) is the configured place",
        hint: "set the new place in \(HostSettings.path) first, or name the old one")
    }
    if let user { return try move(UserAccount.existing(named: user), settings) }
    try moveAll(settings)
  }

  private func move(_ account: UserAccount, _ settings: HostSettings) throws {
    let isMoved = try move(of: account, settings).run()
    try report([MoveReport(user: account.nameText, isMoved: isMoved, problem: isMoved ? nil : "nothing to move")])
  }

  private func move(of account: UserAccount, _ settings: HostSettings) throws -> any AccountMove {
    if isFromDatabase { return try DatabaseMove(of: account, files: settings.directoryTemplate, settings: settings) }
    if settings.isPostgreSQL { return try DatabaseMove(of: account, files: template, settings: settings) }
    return try EnrollmentMove(of: account, from: template, settings: settings)
  }

  private func moveAll(_ settings: HostSettings) throws {
    let registered = try? EnrollmentRegister.all
    let (accounts, withoutAccount) = try candidates(registered)
    // In a child process, because a user's file system may not answer.
    let outcomes = BoundedWork.outcomes(count: accounts.count) { index in
      // System accounts and users who never logged in often have no home.
      let isKnown = registered?.contains(accounts[index].entry.userID) ?? true
      guard isKnown || isFromDatabase || accounts[index].homeText.isAccessible(F_OK) else { return [] }
      do {
        return try move(of: accounts[index], settings).isNeeded() ? ["", ""] : []
      } catch {
        return ["", (error as? SetupError)?.message ?? "cannot be read"]
      }
    }
    var reports: [MoveReport] = []
    for (account, outcome) in zip(accounts, outcomes) {
      let problem: String?
      if case .done(let texts) = outcome {
        guard texts.count > 1 else { continue }
        problem = texts[1] == "" ? self.problem(moving: account, settings) : texts[1]
      } else {
        problem = "its file system did not answer within \(BoundedWork.limit) seconds"
      }
      reports.append(MoveReport(user: account.nameText, isMoved: problem == nil, problem: problem))
    }
    for name in withoutAccount {
      let problem = isFromDatabase ? "no such account on this host" : "no account has this user id"
      reports.append(MoveReport(user: name, isMoved: false, problem: problem))
    }
    try report(reports)
    if !json, !isFromHostStore {
      let silent = NameSources(tree: HostTree()).silentSources(among: accounts.map(\.nameText))
      if !silent.isEmpty {
        try OutputStream.standardOutput.write(
          "Accounts of \(silent.joined(separator: ", ")) are not enumerated: only registered ones are moved.\n")
      }
    }
    guard reports.allSatisfy(\.isMoved) else { throw ExitCode(ExitStatus.refused.rawValue) }
  }

  /// Nil after the move.
  private func problem(moving account: UserAccount, _ settings: HostSettings) -> String? {
    do {
      _ = try move(of: account, settings).run()
      return nil
    } catch {
      return (error as? SetupError)?.message ?? "cannot be moved"
    }
  }

  /// The accounts that may have an enrollment in the old place, and users with an enrollment there who have no account
  /// on this host.
  private func candidates(_ registered: [UserID]?) throws -> ([UserAccount], [String]) {
    if isFromDatabase { return try candidatesInDatabase(registered ?? []) }
    var accounts: [UserAccount] = []
    var users: [UserID]
    if isFromHostStore {
      users = HostStoreCheck(tree: HostTree()).users
      // An interrupted move to a database may leave only the register entry.
      users += (registered ?? []).filter { !users.contains($0) }
    } else {
      accounts = UserAccount.allWithLogin()
      // Registered users whom the name services do not enumerate, or who cannot log in.
      let listed = Set(accounts.map(\.userID))
      users = (registered ?? []).filter { !listed.contains($0.rawValue) }
    }
    let found = users.map { UserAccount.existing(userID: $0) }
    accounts += found.compactMap { $0 }
    return (accounts, isFromHostStore ? zip(users, found).filter { $1 == nil }.map { "#\($0.0.rawValue)" } : [])
  }

  private func candidatesInDatabase(_ registered: [UserID]) throws -> ([UserAccount], [String]) {
    let names = try DatabaseUsers.all().map(\.name)
    let found = names.map { try? UserAccount.existing(named: $0) }
    let listed = Set(found.compactMap { $0?.userID })
    // An interrupted move leaves files with a temporary name, and an entry in the register.
    let others = registered.filter { !listed.contains($0.rawValue) }.compactMap { UserAccount.existing(userID: $0) }
    return (found.compactMap { $0 } + others, zip(names, found).filter { $1 == nil }.map(\.0))
  }

  private func report(_ reports: [MoveReport]) throws {
    let output = OutputStream.standardOutput
    if json {
      try output.write(JSONValue.object([("users", .array(reports.map(\.json)))]).text + "\n")
    } else {
      try output.write(reports.map(\.line).joined())
      let moved = reports.count(where: \.isMoved)
      if all {
        try output.write(
          reports.isEmpty ? "Nothing to move.\n" : "\(moved) of \(reports.count) enrollments moved.\n")
      }
    }
    try output.flush()
  }
}

private struct MoveReport {
  let user: String
  let isMoved: Bool
  let problem: String?

  var line: String { "\(user.printable): \(problem.map { "not moved: \($0.printable)" } ?? "moved")\n" }

  var json: JSONValue {
    .object([("user", .string(user)), ("moved", .bool(isMoved)), ("reason", .optional(problem))])
  }
}

extension String {
  /// `~` and `%h` mean the same.
  fileprivate var withTilde: String { hasPrefix("%h/") ? "~" + dropFirst(2) : self }
}
