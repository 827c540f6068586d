import Enrollment
import FixedMemory
import HostAccess
import KeyFormats
import SystemFiles

/// Asks a user for a code of the imported device: proof that the key was read as the device uses it.
struct ImportConfirmation: ~Copyable {
  private let session: Session
  /// The answer that came before the text on standard input; nil to ask for one.
  private let early: SecretBuffer?

  private static let tries = 3
  private static let question = "Code from the device: "

  /// `beforeText` asks now, because the text to import follows the answers on standard input.
  init(_ session: Session, beforeText: Bool) throws {
    self.session = session
    early = try beforeText ? session.terminal.ask(Self.question) : nil
  }

  /// Counts the code as used.
  ///
  /// - Throws: ``SetupError`` if no code was right, or the input ends.
  consuming func run(_ imported: inout ImportedEnrollment) throws {
    let userOption = session.userOption
    let trial = try EnrollmentTrial(
      imported.devices, limits: session.settings.limits, hint: \.hintOfImport,
      resync: { Invocation.text(ofDeviceCommand: "resync", $0, userOption) })
    var refusal: CodeRefusal?
    var isEarly = false
    var reply = early
    for _ in 0..<Self.tries where !isEarly {
      let line: SecretBuffer
      if let answer = reply.take() {
        line = answer
        isEarly = true
      } else {
        if let refusal { try session.show(refusal.line + "\n") }
        line = try session.terminal.ask(Self.question)
      }
      switch try trial.check(line, now: SystemClock.now) {
      case .right(let device, let state): return imported.use(state, ofDeviceAt: device)
      case .wrong(let why): refusal = why
      }
    }
    throw SetupError(
      .refused, "no code was right, so nothing was changed; the last one: \(refusal?.message ?? "wrong code")",
      hint: refusal?.hint ?? "check that the code is of the imported account, and the clock of the device")
  }
}
