import ArgumentParser
import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show whether two-factor is on.",
    discussion: """
      Shows the devices, the number of backup codes left, when a code was last accepted, whether codes are \
      throttled after too many failures, and which services ask for a code. It shows no secrets and asks no questions. The exit status is 0 \
      whether two-factor is on or off.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "status", reportsServices: true)
    let now = SystemClock.now
    let status = try session.store.status(now: now)
    if session.wantsJSON {
      try session.report(status.json(services: session.services))
    } else {
      try session.show(
        status.text(
          now: now, services: session.services, columns: session.terminal.pageSize?.columns,
          hint: session.store.enrollmentHint(session.userOption)))
    }
  }
}

struct UsersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "users",
    abstract: "List the accounts that can log in. Root only.",
    discussion: """
      Shows for each account with a login shell whether two-factor is on, since when, the number of backup \
      codes left, and when a code was last accepted. With --user, shows that account alone.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may list all accounts", hint: "for your own account: twofactor status")
    }
    let settings = try HostSettings.load()
    let registered = try? EnrollmentRegister.all
    let rows = settings.isPostgreSQL && common.user == nil ? try DatabaseRows(DatabaseUsers.all()) : nil
    let stored = HostStoreCheck(tree: HostTree()).users.filter { registered?.contains($0) != true }
    var accounts = try common.user.map { [try UserAccount.existing(named: $0)] } ?? UserAccount.allWithLogin()
    var withoutAccount: [UserID] = []
    var strangers: [String] = []
    var silent: [String] = []
    if common.user == nil {
      silent = NameSources(tree: HostTree()).silentSources(among: accounts.map(\.nameText))
      // Enrolled users without an account, or whom the name services do not enumerate.
      let listed = Set(accounts.map(\.userID))
      for user in (registered ?? []) + stored where !listed.contains(user.rawValue) {
        if let account = UserAccount.existing(userID: user) {
          accounts.append(account)
        } else {
          withoutAccount.append(user)
        }
      }
      let names = Set(accounts.map(\.nameText))
      for name in rows?.names ?? [] where !names.contains(name) {
        if let account = try? UserAccount.existing(named: name) {
          accounts.append(account)
        } else {
          strangers.append(name)
        }
      }
    }
    let entries =
      ListedUser.all(accounts, settings: settings, rows, registered: registered, withServices: common.json)
      + withoutAccount.map { ListedUser(UserEntry(without: $0, registered: registered)) }
      + strangers.map { ListedUser(UserEntry(named: $0, rows)) }
    let output = OutputStream.standardOutput
    if common.json {
      try output.write(JSONValue.object([("users", .array(entries.map(\.json)))]).text + "\n")
    } else {
      var table = TextTable(["USER", "TWO-FACTOR", "SINCE", "BACKUP CODES", "LAST USED"])
      entries.forEach { table.add($0.row) }
      try output.write(Terminal(json: false).text(of: table))
      if entries.contains(where: \.isMissing) {
        try output.write(
          """

          missing: registered as enrolled, but the enrollment is absent, so logins are refused. \(
            settings.isPostgreSQL ? "Move it with twofactor move" : "Mount the home directory"), or clear the entry \
          with: twofactor disable --user NAME

          """)
      }
      if !strangers.isEmpty {
        let names = strangers.map(\.printable).joined(separator: ", ")
        try output.write("\nEnrolled, but without an account on this host: \(names)\n")
      }
      if !silent.isEmpty {
        try output.write(
          "\nAccounts of \(silent.joined(separator: ", ")) are not enumerated: only registered ones are listed.\n")
      }
    }
    try output.flush()
  }
}

private struct ListedUser {
  let isMissing: Bool
  let json: JSONValue
  let row: [String]

  init(_ entry: UserEntry) { (isMissing, json, row) = (entry.isMissing, entry.json, entry.row) }

  private init(texts: [String]) {
    (isMissing, json, row) = (texts[0] != "", .encoded(texts[1]), Array(texts[2...]))
  }

  /// Reads the enrollments in a child process, because a user's file system may not answer.
  static func all(
    _ accounts: [UserAccount], settings: HostSettings, _ rows: DatabaseRows?, registered: [UserID]?,
    withServices: Bool
  ) -> [ListedUser] {
    let outcomes = BoundedWork.outcomes(count: accounts.count) { index in
      var entry = UserEntry(accounts[index], settings: settings, rows, registered: registered)
      if withServices { entry.services = { UserServices(of: accounts[index]) } }
      return [entry.isMissing ? "missing" : "", entry.json.text] + entry.row
    }
    return zip(accounts, outcomes).map { account, outcome in
      if case .done(let texts) = outcome, texts.count > 2 { return ListedUser(texts: texts) }
      return ListedUser(UserEntry(withoutAnswerFrom: account, registered: registered))
    }
  }
}

/// The enrollments in a database.
private struct DatabaseRows {
  let names: [String]
  private let statuses: [String: EnrollmentStatus?]

  static let unreadable = SetupError(.unusableData, "its row in the database cannot be opened")

  init(_ users: [(name: String, status: EnrollmentStatus?)]) {
    names = users.map(\.name)
    statuses = Dictionary(users.map { ($0.name, $0.status) }) { first, _ in first }
  }

  /// Throws ``unreadable``.
  func status(of user: String) throws -> EnrollmentStatus {
    guard let found = statuses[user] else { return EnrollmentStatus(user: user, directory: EnrollmentStore.database) }
    guard let found else { throw Self.unreadable }
    return found
  }
}

private struct UserEntry {
  private let name: String
  private let status: EnrollmentStatus?
  private let problem: String?
  private var directory: String?
  /// Nil if the register is unreadable or missing.
  private let isRegistered: Bool?
  private var isProvenAbsent = false
  var services: () -> UserServices? = { nil }

  init(_ account: UserAccount, settings: HostSettings, _ rows: DatabaseRows?, registered: [UserID]?) {
    name = account.nameText
    isRegistered = registered?.contains(account.entry.userID)
    do {
      let store = try EnrollmentStore(account: account, settings: settings)
      directory = store.directory
      // Do not recreate a lost state: listing changes nothing and waits for no lock.
      if rows != nil { try store.requireForce() }
      status = try rows?.status(of: name) ?? store.status(now: SystemClock.now, mending: false)
      isProvenAbsent = isRegistered == true && status?.enabledAt == nil && store.isProvenAbsent
      problem = nil
    } catch {
      status = nil
      problem = (error as? SetupError)?.message ?? "cannot be read"
    }
  }

  /// A user in the database without an account on this host.
  init(named user: String, _ rows: DatabaseRows?) {
    name = user
    isRegistered = nil
    directory = EnrollmentStore.database
    status = try? rows?.status(of: user)
    problem = status == nil ? DatabaseRows.unreadable.message : nil
  }

  /// A user in the register or the host store without an account.
  init(without user: UserID, registered: [UserID]?) {
    name = "#\(user.rawValue)"
    isRegistered = registered?.contains(user)
    status = nil
    problem = "\(isRegistered == true ? "registered as " : "")enrolled, but no account has this user id"
  }

  /// A read that timed out.
  init(withoutAnswerFrom account: UserAccount, registered: [UserID]?) {
    name = account.nameText
    isRegistered = registered?.contains(account.entry.userID)
    status = nil
    problem = "its home directory did not answer within \(BoundedWork.limit) seconds"
  }

  var isMissing: Bool { isRegistered == true && !isProvenAbsent && status != nil && status?.enabledAt == nil }

  var json: JSONValue {
    let registered = ("registered", isRegistered.map(JSONValue.bool) ?? .null)
    guard case .object(let members) = status?.json(services: services) else {
      // The keys of a status, plus the reason why it is unknown.
      return .object([
        ("user", .string(name)), ("enabled", .null), ("directory", .optional(directory)), ("devices", .array([])),
        ("backup_codes_left", .null), ("failures", .null), ("locked_until", .null), ("services", .null),
        registered,
        ("error", .optional(problem)),
      ])
    }
    return .object(members + [registered])
  }

  var row: [String] {
    guard let status else { return [name.printable, "?", problem?.printable ?? ""] }
    guard let enabledAt = status.enabledAt else { return [name.printable, isMissing ? "missing" : "off"] }
    return [
      name.printable, "on", Timestamp(seconds: enabledAt).date, String(status.backupCodesLeft),
      status.lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never",
    ]
  }
}
