import ArgumentParser
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

struct FleetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fleet",
    abstract: "Show the servers of store=postgresql, or change the sealing key. Root only.",
    discussion: """
      With store=postgresql, the enrollments of a group of hosts are in a database, sealed with a key of the group. \
      These commands are about the whole group, so they refuse --user.
      """,
    subcommands: [FleetStatusCommand.self, FleetRekeyCommand.self])

  /// The settings of the host by which the servers are judged.
  static func check(_ report: FleetReport) -> FleetCheck {
    // The store may be in preparation while the policy still names another one.
    let settings = (try? HostSettings.load()) ?? HostSettings()
    return FleetCheck(
      report, window: Int64(clamping: settings.limits.window) * 30, enrollsAtLogin: settings.enrollment != .no,
      now: SystemClock.now)
  }

  static func refuseUser(_ common: CommonOptions) throws {
    guard common.user == nil else { throw ValidationError("The command is about all users of the group: omit --user.") }
  }

  static func requireRoot(_ subcommand: String) throws {
    guard getuid() == 0, geteuid() == 0 else {
      throw SetupError(
        .notPermitted, "only root may ask the servers", hint: "run it as root: sudo twofactor fleet \(subcommand)")
    }
  }
}

struct FleetStatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show the servers, their replication, and what this host may do.",
    discussion: """
      Asks each server of twofactor-postgresql.conf whether it answers, which one is the primary, how long \
      connecting and a query take, and how far its clock differs from that of this host. Shows the standbys, the \
      days that certificates are valid, the rights of this host, and how many enrollments each key has sealed. Then \
      it lists problems. It changes nothing. The exit status is 0, or 78 if logins with a code would be refused.
      """)

  @OptionGroup
  var common: CommonOptions

  func validate() throws { try FleetCommand.refuseUser(common) }

  func run() throws {
    try FleetCommand.requireRoot("status")
    let report = try StoreProgram.report()
    let findings = FleetCommand.check(report).findings
    let status = FleetStatus(report, findings: findings, now: SystemClock.now)
    let output = OutputStream.standardOutput
    try output.write(common.json ? status.json.text + "\n" : status.text(on: Terminal(json: false)))
    try output.flush()
    guard status.acceptsLogins else { throw ExitCode(ExitStatus.configuration.rawValue) }
  }
}

struct FleetRekeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rekey",
    abstract: "Change the key that seals the enrollments of a group of hosts.",
    discussion: """
      Logins go on meanwhile, if all hosts of the group get each new version of the key file:

      1. On one host: twofactor fleet rekey --add-key. Copy the file to the others.

      2. On the same host: twofactor fleet rekey. It seals all enrollments with the new key. Copy the file again.

      3. On the same host: twofactor fleet rekey --drop-old-keys. Copy the file again.

      If the command is killed, run it again. A host without a key refuses the users whose enrollments are \
      sealed with it, until the file is copied. No key is ever shown.
      """)

  @Flag(help: "Add a new key to the file. If there is no file yet, create it.")
  var addKey = false

  @Flag(help: "Remove all keys but the first, if they seal no enrollment any more.")
  var dropOldKeys = false

  @OptionGroup
  var common: CommonOptions

  func validate() throws {
    try FleetCommand.refuseUser(common)
    guard !addKey || !dropOldKeys else { throw ValidationError("--add-key and --drop-old-keys exclude each other.") }
  }

  func run() throws {
    try FleetCommand.requireRoot("rekey")
    let rekeying = try Rekeying(StoreProgram.report())
    let result = addKey ? try rekeying.addKey() : dropOldKeys ? try rekeying.dropOldKeys() : try rekeying.reseal()
    let output = OutputStream.standardOutput
    try output.write(common.json ? result.json.text + "\n" : result.text)
    try output.flush()
  }
}
