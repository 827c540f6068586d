import ArgumentParser
import Glibc
import HostAccess
import SystemFiles

/// `twofactor status`.
struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show whether two-factor is on.",
    discussion: """
      Shows the devices, the number of backup codes left, when a code was last accepted, and whether codes are \
      throttled after too many failures. It shows no secrets and asks no questions. The exit status is 0 \
      whether two-factor is on or off.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "status")
    let now = SystemClock.now
    let status = try session.store.status(now: now)
    if session.wantsJSON {
      try session.report(status.json)
    } else {
      try session.show(status.text(now: now))
    }
  }
}

/// `twofactor users`.
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
    let accounts = try common.user.map { [try UserAccount.existing(named: $0)] } ?? UserAccount.allWithLogin()
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
      // No repair of a lost state: listing changes nothing and waits for no lock.
      status = try store.status(now: SystemClock.now, mending: false)
      problem = nil
    } catch {
      status = nil
      problem = (error as? SetupError)?.message ?? "cannot be read"
    }
  }

  var json: JSONValue {
    guard let status else {
      // The same keys as a status, and why it is unknown.
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
