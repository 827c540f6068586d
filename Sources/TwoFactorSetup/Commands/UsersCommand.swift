import ArgumentParser
import Enrollment
import Glibc

/// `twofactor users`.
struct UsersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "users",
    abstract: "Show all accounts that may log in. Root only.",
    discussion: """
      For each account of the user database whose shell lets it log in: whether two-factor is on, since when, \
      how many backup codes are left, and when it was last used. With --user, for that account alone.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may look at all accounts", hint: "for your own account: twofactor status")
    }
    let settings = try HostSettings.load()
    let accounts = try common.user.map { [try UserAccount.existing(named: $0)] } ?? UserDatabase.accountsWithLogin()
    let entries = accounts.map { UserEntry($0, settings: settings) }
    let output = OutputStream.standardOutput
    if common.json {
      try output.write(JSONValue.object([("users", .array(entries.map(\.json)))]).text + "\n")
    } else {
      var table = TextTable(["USER", "TWO-FACTOR", "SINCE", "BACKUP CODES", "LAST USED"])
      entries.forEach { table.add($0.row) }
      try output.write(table.text(columns: Terminal(json: false).pageSize?.columns))
    }
    try output.flush()
  }
}

/// One account in the table.
private struct UserEntry {
  private let name: String
  private let status: EnrollmentStatus?
  private let problem: String?
  private var directory: String?

  init(_ account: UserAccount, settings: HostSettings) {
    name = account.nameText
    do {
      let store = try EnrollmentStore(account: account, settings: settings)
      directory = store.directory
      // Nobody's enrolment is changed by looking at it, and nobody keeps root waiting.
      status = try store.status(now: SystemClock.now, mending: false)
      problem = nil
    } catch {
      status = nil
      problem = (error as? SetupError)?.message ?? "cannot be read"
    }
  }

  var json: JSONValue {
    guard let status else {
      // All that a status has, so that a program finds it, and why it is not known.
      return .object([
        ("user", .string(name)), ("enabled", .null), ("directory", .optional(directory)), ("devices", .array([])),
        ("backup_codes_left", .null), ("failures", .null), ("locked_until", .null), ("error", .optional(problem)),
      ])
    }
    return status.json
  }

  var row: [String] {
    guard let status else { return [name.printable, "?", problem?.printable ?? ""] }
    guard let enabledAt = status.enabledAt else { return [name.printable, "off"] }
    return [
      name.printable, "on", Timestamp(seconds: enabledAt).date, String(status.backupCodesLeft),
      status.lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never",
    ]
  }
}
