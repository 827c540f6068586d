import ArgumentParser
import Enrollment

/// `twofactor device add`.
struct DeviceAddCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Add a device.",
    discussion: """
      Asks for a code of a device that is there, or a backup code, shows a new key, and asks for a code from \
      the new device to prove that it works. Only then is it added. The other devices go on working.

      For a token that has its key already: twofactor device add token --type hotp --ask-key
      """)

  @Argument(help: "What the device is called.")
  var name: String

  @OptionGroup(title: "Code options")
  var code: CodeOptions

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Flag(help: "Do not ask for a code from the new device, for provisioning.")
  var noConfirm = false

  @Flag(help: ArgumentHelp("Accepted for scripts; there is no yes/no question here.", visibility: .hidden))
  var yes = false

  @Flag(help: "Replace a file that is there already.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  mutating func validate() throws { try DeviceName.validate(name) }

  func run() throws {
    let session = try Session(common, subcommand: "device add")
    try session.requireEnrollment()
    try refuseUnlessThereIsRoom(session)
    try KeptFiles.requireAbsent(key.qrFile, unless: force, for: session.account)
    try session.checkCode()

    let now = SystemClock.now
    let device = try session.newDevice(named: name, code, key, now: now)
    let presentation = KeyPresentation(
      device, heading: "A new device for \(session.accountName): \(name.printable)", options: key, session: session,
      force: force, isKnown: code.askKey)
    try KeptFiles.keeping(for: session.account) { files in
      try presentation.writeFile(&files)
      if session.wantsJSON { try session.report(device.json(session)) }
      let generation = try Generation.random()
      let state: LoginState
      if noConfirm {
        if !session.wantsJSON { try presentation.show() }
        state = LoginState(generation: generation)
      } else {
        state = try presentation.confirm(generation)
      }
      try OutputStream.standardOutput.flush()
      try files.checkForInterruption()
      try session.store.addDevice(device.draft, state: state[device: 0])
    }
    defer { session.tell(.deviceAdded(name)) }
    if !session.wantsJSON {
      try session.show(
        "\nCodes from \(name.printable) are good for logins from now on."
          + "\nTo undo it: twofactor device remove '\(name.printable)'\(session.userOption)\n")
    }
  }

  private func refuseUnlessThereIsRoom(_ session: Session) throws {
    let devices = try session.store.status(now: SystemClock.now).devices
    if devices.contains(where: { $0.parameters.name == name }) {
      throw SetupError.deviceExists(name)
    }
    if devices.count >= Credential.maximumDevices {
      throw SetupError(
        .refused, "\(session.accountName) has \(devices.count) devices, which is as many as there may be",
        hint: "remove one first: twofactor device remove NAME")
    }
  }
}
