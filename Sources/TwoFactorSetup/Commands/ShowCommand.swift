import ArgumentParser
import HostAccess
import KeyFormats
import SystemFiles

struct ShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Show the key of a device again.",
    discussion: """
      Asks for your password and a code, then shows the QR code, the key and the URI of a device, to add it to \
      a second phone or a password manager. They stay on the screen.
      """)

  @Option(help: ArgumentHelp("The device, if there are several.", valueName: "name"), completion: .devices)
  var name: String?

  @OptionGroup(title: "Key options")
  var key: KeyOptions

  @Flag(help: "Replace a file that this command wrote.")
  var force = false

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "show", reportsServices: common.json)
    try session.requireEnrollment()
    let device = try chosenDevice(session)
    try KeptFiles.requireAbsent(key.qrFile, unless: force, for: session.account)
    try session.checkPassword()
    try session.checkCode()

    let shown = try session.labeled(session.store.device(named: device), key)
    let presentation = KeyPresentation(
      shown, heading: "\(shown.name.printable) of \(session.accountName)", options: key, session: session,
      force: force)
    try KeptFiles.keeping(for: session.account) { files in
      try presentation.writeFile(&files)
      if !session.wantsJSON { try presentation.show() }
      if session.wantsJSON { try session.report(session.json(of: shown)) }
    }
  }

  private func chosenDevice(_ session: Session) throws -> String {
    let names = try session.store.status(now: SystemClock.now).devices.map(\.name)
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
