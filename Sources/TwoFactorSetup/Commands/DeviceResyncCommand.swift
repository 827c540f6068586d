import ArgumentParser
import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import OneTimePassword
import SystemFiles
import Verification

struct DeviceResyncCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resync",
    abstract: "Resynchronize a device that is out of step.",
    discussion: """
      For a token whose button was pressed often, or a device whose clock is wrong. Asks for two codes that the \
      device shows one after the other, and finds them up to \(ResyncReach.counters) counters ahead of the \
      expected one, or up to \(ResyncReach.timeSteps) time steps before or after the host's clock. Then the \
      counter or the clock offset of this device is stored, and both codes are used up. Wrong codes count as at \
      a login.

      Type each code as soon as it is shown. The names of the devices: twofactor device list
      """)

  @Argument(help: "The name of the device.", completion: .devices)
  var name: String

  @OptionGroup(title: "Common options")
  var common: CommonOptions

  func run() throws {
    let session = try Session(common, subcommand: "device resync", reportsServices: common.json)
    try session.requireEnrollment()
    let status = try session.store.status(now: SystemClock.now)
    // Fail before asking for codes.
    guard let device = status.devices.first(where: { $0.name == name }) else { throw SetupError.noDevice(name) }
    let resync = ResyncDialogue(session: session, device: device)
    try resync.requireChecks(status.throttling)
    try resync.run()
    defer { session.tell(.deviceResynced(name)) }
    if session.wantsJSON { return try session.reportStatus() }
    let now = try session.store.status(now: SystemClock.now).devices.first { $0.name == name }
    var text = "\(name.printable) is in step again."
    if let (span, isBehind) = now?.clockDifference {
      text += " Logins now allow for its clock, which is \(span) \(isBehind ? "behind" : "ahead of") this host's."
    }
    try session.show(text + "\nBoth codes are used up; the next login needs a new one.\n")
  }
}

/// Asks for two codes of a device, and has the store find them.
private struct ResyncDialogue {
  let session: Session
  let device: DeviceStatus

  private var name: String { device.name.printable }

  func requireChecks(_ throttling: Throttling) throws {
    if case .hotp(let counter) = device.kind, counter > LoginState.highestCounter { throw failure(.counterLost) }
    switch throttling {
    case .no: break
    case .until(let moment): throw failure(.refused(.throttled(seconds: max(moment - SystemClock.now, 1))))
    case .locked: throw failure(.refused(.locked))
    }
  }

  func run() throws {
    let first = try session.terminal.ask("Code of \(name): ")
    try requireCode(first.bytes)
    let second = try session.terminal.ask("Next code of \(name), as soon as it is shown: ")
    try requireCode(second.bytes)
    let verdict = try session.store.resync(deviceNamed: device.name, first, second)
    if verdict != .found { throw failure(verdict) }
  }

  /// Checks only the number of digits.
  private func requireCode(_ line: Span<UInt8>) throws {
    do throws(Reply.Problem) {
      guard try Reply(line).code(device.digits) == nil else { return }
    } catch {
      guard error.refusal == .malformedReply else { throw CodeRefusal(error).error }
    }
    throw failure(.refused(.malformedReply))
  }

  private func failure(_ verdict: ResyncVerdict) -> SetupError {
    switch verdict {
    case .found, .noDevice: return SetupError.noDevice(device.name)
    case .sameCode:
      return SetupError(
        .refused, "the two codes are the same", hint: "wait until \(name) shows another code before you type the second"
      )
    case .wrongOrder:
      return SetupError(
        .refused, "the second code comes before the first one",
        hint: "run the command again, and type the codes in the order in which \(name) shows them")
    case .used(let until): return used(until: until)
    case .counterLost:
      return SetupError(
        .refused, "the state was lost, so the counter of \(name) is unknown",
        hint: "remove the device and add it again: \(command("remove"))")
    case .refused(.malformedReply):
      return SetupError(
        .refused, "this is not a code of \(name)", hint: "its codes have \(device.digits.rawValue) digits")
    case .refused(.throttled(let seconds)):
      return SetupError(.refused, "too many failed codes", hint: "try again in \(seconds) seconds")
    case .refused(.wrongCode):
      return SetupError(.refused, "these are not two consecutive codes of \(name)", hint: reach)
    case .refused(let refusal): return CodeRefusal(refusal, period: device.kind.period).error
    }
  }

  private func used(until moment: Int64) -> SetupError {
    let message = "both codes are right, but count as used"
    let wait = moment - SystemClock.now
    guard let period = device.kind.period, wait > period else {
      return SetupError(.refused, message, hint: "run the command again, with the next two codes")
    }
    let time = Timestamp(seconds: moment)
    return SetupError(
      .refused, "\(message): the clock of \(name) was ahead before",
      hint: "codes work again from \(wait < 43_200 ? time.clock : time.readable); then run: \(command("resync"))")
  }

  /// The hint after wrong codes: the range that was searched.
  private var reach: String {
    guard let period = device.kind.period else {
      return "type two codes that \(name) shows one after the other, at most \(ResyncReach.counters) counters ahead"
    }
    let minutes = Int64(ResyncReach.timeSteps) * period / 60
    return "type two codes that \(name) shows one after the other; its clock may differ by \(minutes) minutes from "
      + "this host's, which says \(Timestamp(seconds: SystemClock.now).clock)"
  }

  private func command(_ subcommand: String) -> String {
    Invocation.text(ofDeviceCommand: subcommand, device.name, session.userOption)
  }
}
