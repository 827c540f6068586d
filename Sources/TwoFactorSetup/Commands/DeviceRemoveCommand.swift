import ArgumentParser
import Enrollment

/// `twofactor device remove`.
struct DeviceRemoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove a device.",
    discussion: """
      Asks for a code, from any device or a backup code, and then erases the key of the device. The last one \
      cannot be removed: that would leave the account without a way in.
      """)

  @Argument(help: "What the device is called.")
  var name: String

  @Flag(help: ArgumentHelp("Accepted for scripts; there is no yes/no question here.", visibility: .hidden))
  var yes = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "device remove")
    try session.requireEnrollment()
    // Before a code is used up for nothing.
    let devices = try session.store.status(now: SystemClock.now).devices.map(\.parameters.name)
    guard devices.contains(name) else { throw SetupError.noDevice(name) }
    guard devices.count > 1 else { throw SetupError.lastDevice(name) }
    try session.checkCode()
    try session.store.removeDevice(named: name)
    defer { session.tell(.deviceRemoved(name)) }
    if session.wantsJSON { return try session.report(session.store.status(now: SystemClock.now).json) }
    try session.show("\(name.printable) is removed; codes from it do not work any more.\n")
  }
}
