import ArgumentParser
import Glibc
import HostAccess
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
    let list = try UserList(of: common.user, withServices: common.json)
    let output = OutputStream.standardOutput
    if common.json {
      try output.write(JSONValue.object([("users", .array(list.users.map(\.json)))]).text + "\n")
    } else {
      var table = TextTable(["USER", "TWO-FACTOR", "SINCE", "BACKUP CODES", "LAST USED"])
      list.users.forEach { table.add($0.row) }
      try output.write(Terminal(json: false).text(of: table))
      if list.users.contains(where: { $0.condition.standing == .missing }) {
        try output.write(
          """

          missing: registered as enrolled, but the enrollment is absent, so logins are refused. \(
            list.isInDatabase ? "Move it with twofactor move" : "Mount the home directory"), or clear the entry \
          with: twofactor disable --user NAME

          """)
      }
      if !list.strangers.isEmpty {
        let names = list.strangers.map(\.printable).joined(separator: ", ")
        try output.write("\nEnrolled, but without an account on this host: \(names)\n")
      }
      if !list.silent.isEmpty {
        try output.write(
          "\nAccounts of \(list.silent.joined(separator: ", ")) are not enumerated: only registered ones are listed.\n")
      }
    }
    try output.flush()
  }
}
