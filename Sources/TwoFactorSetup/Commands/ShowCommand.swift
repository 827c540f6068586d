import ArgumentParser
import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword

/// `twofactor show`.
struct ShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Show the key of a device again.",
    discussion: """
      Asks for your password and a code, and then shows the QR code, the key and the URI of a device, to put \
      it on a second phone or into a password manager. What is shown stays on the screen.
      """)

  @Option(help: ArgumentHelp("The device, where there are several.", valueName: "name"))
  var name: String?

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Flag(help: "Replace a file that is there already.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "show")
    try session.requireEnrollment()
    let device = try chosenDevice(session)
    try KeptFiles.requireAbsent(key.qrFile, unless: force, for: session.account)
    try session.checkPassword()
    try session.checkCode()

    let shown = try session.store.key(ofDeviceNamed: device, options: key, session: session)
    let presentation = KeyPresentation(
      shown, heading: "\(shown.parameters.name.printable) of \(session.accountName)", options: key, session: session,
      force: force)
    try KeptFiles.keeping(for: session.account) { files in
      try presentation.writeFile(&files)
      if !session.wantsJSON { try presentation.show() }
      if session.wantsJSON { try session.report(shown.json(session)) }
    }
  }

  private func chosenDevice(_ session: Session) throws -> String {
    let names = try session.store.status(now: SystemClock.now).devices.map(\.parameters.name)
    if let name {
      guard names.contains(name) else { throw SetupError.noDevice(name) }
      return name
    }
    guard names.count == 1, let only = names.first else {
      throw SetupError(
        .usage, "there are several devices", hint: "name one with --name: \(names.joined(separator: ", "))")
    }
    return only
  }
}

extension EnrollmentStore {
  /// Reads a device with its key. The counter of HOTP is where it is now.
  fileprivate func key(ofDeviceNamed name: String, options: KeyOptions, session: Session) throws -> DeviceKey {
    try read { credential, state in
      guard let index = credential.index(ofDeviceNamed: name), var text = SecretBuffer(capacity: 256),
        Base32.encode(credential.secret(ofDeviceAt: index), into: &text),
        var status = DeviceStatus(of: credential, at: index, state: state)
      else { throw SetupError.noDevice(name) }
      if case .hotp(let counter) = status.parameters.kind {
        let next = max(counter, state[device: index].nextFactor)
        status = DeviceStatus(
          parameters: DeviceParameters(
            name: status.parameters.name, kind: .hotp(counter: next), algorithm: status.parameters.algorithm,
            digits: status.parameters.digits),
          enabledAt: status.enabledAt, lastUsedAt: status.lastUsedAt)
      }
      return DeviceKey(status, key: text.text, options: options, session: session)
    }
  }
}
