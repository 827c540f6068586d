import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// The accounts that can log in, and all enrolled users, as root sees them.
struct UserList {
  let users: [ListedUser]
  /// Enrolled users of the database without an account on this host.
  private(set) var strangers: [String] = []
  /// Sources of accounts that are not enumerated.
  private(set) var silent: [String] = []
  let isInDatabase: Bool

  /// `user` limits the list to one account.
  ///
  /// - Throws: ``SetupError`` if the account, the configuration or the database cannot be read.
  init(of user: String?, withServices: Bool) throws {
    let settings = try HostSettings.load()
    isInDatabase = settings.isPostgreSQL
    let registered = try? EnrollmentRegister.all
    let rows = isInDatabase && user == nil ? try DatabaseRows(DatabaseUsers.all()) : nil
    var accounts = try user.map { [try UserAccount.existing(named: $0)] } ?? UserAccount.allWithLogin()
    var withoutAccount: [UserID] = []
    if user == nil {
      silent = NameSources(tree: HostTree()).silentSources(among: accounts.map(\.nameText))
      let stored = HostStoreCheck(tree: HostTree()).users.filter { registered?.contains($0) != true }
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
    users =
      ListedUser.all(accounts, settings: settings, rows, registered: registered, withServices: withServices)
      + withoutAccount.map { ListedUser(UserEntry(without: $0, registered: registered)) }
      + strangers.map { ListedUser(UserEntry(named: $0, rows)) }
  }
}

/// A row of the list.
struct ListedUser {
  let condition: UserCondition
  let json: JSONValue
  let row: [String]

  fileprivate init(_ entry: UserEntry) { (condition, json, row) = (entry.condition, entry.json, entry.row) }

  /// Nil unless the texts are those of ``texts(of:)``.
  private init?(texts: [String]) {
    let count = UserCondition.textCount
    guard texts.count > count + 1, let condition = UserCondition(texts: texts.prefix(count)) else { return nil }
    self.condition = condition
    (json, row) = (.encoded(texts[count]), Array(texts[(count + 1)...]))
  }

  private static func texts(of entry: UserEntry) -> [String] {
    entry.condition.texts + [entry.json.text] + entry.row
  }

  /// Reads the enrollments in a child process, because a user's file system may not answer.
  fileprivate static func all(
    _ accounts: [UserAccount], settings: HostSettings, _ rows: DatabaseRows?, registered: [UserID]?,
    withServices: Bool
  ) -> [ListedUser] {
    let outcomes = BoundedWork.outcomes(count: accounts.count) { index in
      var entry = UserEntry(accounts[index], settings: settings, rows, registered: registered)
      if withServices { entry.services = { UserServices(of: accounts[index]) } }
      return texts(of: entry)
    }
    return zip(accounts, outcomes).map { account, outcome in
      if case .done(let texts) = outcome, let user = ListedUser(texts: texts) { return user }
      return ListedUser(UserEntry(withoutAnswerFrom: account, registered: registered))
    }
  }
}

/// The condition of one user, without the name.
struct UserCondition: Equatable {
  enum Standing: String, CaseIterable {
    case enrolled
    case notEnrolled = "not_enrolled"
    /// Registered as enrolled, but the enrollment is absent: logins are refused.
    case missing
    /// The enrollment cannot be read.
    case unknown
  }

  var standing = Standing.unknown
  /// Whether codes are refused after too many failures, for a time or until an unlock.
  var isThrottled = false
  var isLocked = false
  var hasFewBackupCodes = false
}

extension UserCondition {
  fileprivate static let textCount = 4

  /// The texts that a child process reports.
  fileprivate var texts: [String] {
    [standing.rawValue] + [isThrottled, isLocked, hasFewBackupCodes].map { $0 ? "yes" : "no" }
  }

  fileprivate init?(texts: ArraySlice<String>) {
    let texts = Array(texts)
    guard texts.count == Self.textCount, let standing = Standing(rawValue: texts[0]) else { return nil }
    self.init(
      standing: standing, isThrottled: texts[1] == "yes", isLocked: texts[2] == "yes",
      hasFewBackupCodes: texts[3] == "yes")
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

  var condition: UserCondition {
    guard let status else { return UserCondition() }
    guard status.enabledAt != nil else {
      return UserCondition(standing: isRegistered == true && !isProvenAbsent ? .missing : .notEnrolled)
    }
    return UserCondition(
      standing: .enrolled, isThrottled: status.throttling != .no, isLocked: status.throttling == .locked,
      hasFewBackupCodes: status.hasFewBackupCodes)
  }

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
    guard let enabledAt = status.enabledAt else {
      return [name.printable, condition.standing == .missing ? "missing" : "off"]
    }
    return [
      name.printable, "on", Timestamp(seconds: enabledAt).date, String(status.backupCodesLeft),
      status.lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never",
    ]
  }
}
