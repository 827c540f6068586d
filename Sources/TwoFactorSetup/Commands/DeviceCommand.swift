import ArgumentParser
import Enrollment
import HostAccess
import SystemFiles

struct DeviceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device",
    abstract: "Add, list, remove and resynchronize devices.",
    discussion: """
      An account can have up to 16 devices: a phone, a tablet, a password manager. A login accepts a code from \
      any of them. To move to a new phone, add the new one, then remove the old one; two-factor stays on \
      throughout.
      """,
    subcommands: [
      DeviceAddCommand.self, DeviceListCommand.self, DeviceRemoveCommand.self, DeviceResyncCommand.self,
    ])
}

struct DeviceAddCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Add a device.",
    discussion: """
      Asks for a code from an enrolled device or a backup code, shows a new key, and asks for a code from the \
      new device to check that it works. Only then is the device added. The other devices keep working.

      For a token that already has a key: twofactor device add token --type hotp --ask-key
      """)

  @Argument(help: "The name of the device.")
  var name: String

  @OptionGroup(title: "Code options")
  var code: CodeOptions

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Flag(help: "Do not ask for a code from the new device (for provisioning).")
  var noConfirm = false

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks no yes/no question.", visibility: .hidden))
  var yes = false

  @Flag(help: "Replace a file that this command wrote.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws { try DeviceName.validate(name) }

  func run() throws {
    let session = try Session(common, subcommand: "device add", reportsServices: common.json)
    try session.requireEnrollment()
    try requireRoom(session)
    try KeptFiles.requireAbsent(key.qrFile, unless: force, for: session.account)
    try session.checkCode()

    let device = try session.newDevice(named: name, code, key, now: SystemClock.now)
    let presentation = KeyPresentation(
      device, heading: "A new device for \(session.accountName): \(name.printable)", options: key, session: session,
      force: force, isKnown: code.askKey)
    try KeptFiles.keeping(for: session.account) { files in
      try presentation.writeFile(&files)
      if session.wantsJSON { try session.report(session.json(of: device)) }
      let state = try presentation.untilTheChange {
        let state = try presentation.handOver(confirming: !noConfirm)
        try OutputStream.standardOutput.flush()
        try files.checkForInterruption()
        return state
      }
      try session.store.addDevice(device, state: state)
    }
    defer { session.tell(.deviceAdded(name)) }
    if !session.wantsJSON {
      try session.show(
        "\nLogins now accept codes from \(name.printable)."
          + "\nTo undo it: twofactor device remove '\(name.printable)'\(session.userOption)\n")
    }
  }

  /// Fail before asking for a code, which would count as used.
  private func requireRoom(_ session: Session) throws {
    let devices = try session.store.status(now: SystemClock.now).devices
    if devices.contains(where: { $0.name == name }) { throw SetupError.deviceExists(name) }
    if devices.count >= Credential.maximumDevices {
      throw SetupError(
        .refused, "\(session.accountName) already has the maximum of \(devices.count) devices",
        hint: "remove one first: twofactor device remove NAME")
    }
  }
}

struct DeviceListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List the devices.",
    discussion: """
      Shows the name of each device, the type of its codes, when it was added, and when one of its codes was \
      last accepted. It shows no secrets and asks no questions.
      """)

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "device list", reportsServices: common.json)
    try session.requireEnrollment()
    let status = try session.store.status(now: SystemClock.now)
    if session.wantsJSON { return try session.report(status.json(services: session.services)) }
    var table = TextTable(["NAME", "CODES", "SINCE", "LAST USED"])
    for device in status.devices {
      table.add([
        device.name.printable, device.description, Timestamp(seconds: device.enabledAt).date,
        device.lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never",
      ])
    }
    try session.show(session.terminal.text(of: table))
  }
}

struct DeviceRemoveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove a device.",
    discussion: """
      Asks for a code from any device, or a backup code, and erases the key of the device. The last device \
      cannot be removed: the account would have no device to log in with.
      """)

  @Argument(help: "The name of the device.", completion: .devices)
  var name: String

  @Flag(help: ArgumentHelp("Accepted for scripts; this subcommand asks no yes/no question.", visibility: .hidden))
  var yes = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "device remove", reportsServices: common.json)
    try session.requireEnrollment()
    // Fail before asking for a code, which would count as used.
    let devices = try session.store.status(now: SystemClock.now).devices.map(\.name)
    guard devices.contains(name) else { throw SetupError.noDevice(name) }
    guard devices.count > 1 else { throw SetupError.lastDevice(name) }
    try session.checkCode()
    try session.store.removeDevice(named: name)
    defer { session.tell(.deviceRemoved(name)) }
    if session.wantsJSON { return try session.reportStatus() }
    try session.show("\(name.printable) is removed; logins no longer accept its codes.\n")
  }
}
