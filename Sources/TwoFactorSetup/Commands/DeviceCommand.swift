import ArgumentParser

/// `twofactor device`.
struct DeviceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device",
    abstract: "Add, list and remove devices.",
    discussion: """
      An account may have up to 16 devices: a phone, a tablet, a password manager. A code from any of them is \
      good for a login. To move to a new phone, add the new one and then remove the old one; two-factor stays \
      on all the time.
      """,
    subcommands: [DeviceAddCommand.self, DeviceListCommand.self, DeviceRemoveCommand.self])
}
