import ArgumentParser
import Enrollment

/// `twofactor device list`.
struct DeviceListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List the devices.",
    discussion: """
      Shows for each device what it is called, what kind of codes it makes, since when it is there and when a \
      code of it was last used. No secret is shown and nothing is asked.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "device list")
    try session.requireEnrollment()
    let status = try session.store.status(now: SystemClock.now)
    if session.wantsJSON { return try session.report(status.json) }
    var table = TextTable(["NAME", "CODES", "SINCE", "LAST USED"])
    for device in status.devices {
      table.add([
        device.parameters.name.printable, device.description, Timestamp(seconds: device.enabledAt).date,
        device.lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never",
      ])
    }
    try session.show(table.text(columns: session.terminal.pageSize?.columns))
  }
}
