import Enrollment
import FixedMemory
import HelperProtocol
import HostAccess
import SystemFiles

/// `twofactor-store-postgresql`, run as root for requests about the servers. For other requests, see `HelperProtocol`.
package enum StoreProgram {
  package static let name = "twofactor-store-postgresql"
  package static let settings = "/etc/security/twofactor-postgresql.conf"

  /// In seconds. Each server has a limit of its own.
  private static let timeout = 20

  /// The paths that logins try, in their order.
  package static var paths: [String] {
    [StoreProgramPath.first, StoreProgramPath.second].map { String(decoding: $0.bytes) }
  }

  /// Asks for the state of the servers.
  ///
  /// - Throws: ``SetupError``.
  package static func report() throws -> FleetReport {
    let answer = try ask(HelperRequest.describe.encoded)
    var reader = MessageReader()
    return FleetReport(String(decoding: reader.rest(of: answer.message.bytes)))
  }

  /// Seals up to `count` enrollments again, with the first key. Returns how many were sealed, and how many are
  /// still sealed with other keys.
  ///
  /// - Throws: ``SetupError``.
  package static func reseal(upTo count: UInt64) throws -> (resealed: Int, others: Int) {
    guard var writer = MessageWriter(HelperRequest.reseal.rawValue, capacity: 8) else {
      throw SetupError(.inputOutput, "out of memory")
    }
    writer.add(number: count)
    let answer = try ask(writer.finish())
    let message = answer.message.bytes
    var reader = MessageReader()
    let (resealed, others) = (reader.number(of: message), reader.number(of: message))
    guard reader.isComplete(message) else { throw invalid }
    return (Int(clamping: resealed), Int(clamping: others))
  }

  /// Returns an answer of status `done`. The request may contain only bytes below 128.
  private static func ask(_ request: consuming SecretBuffer?) throws -> HelperAnswer {
    let tree = HostTree()
    guard let path = paths.first(where: { tree.ownStatus(of: $0) != nil }) else {
      throw SetupError(.configuration, "\(name) is not installed", hint: "install the package \(name)")
    }
    guard let request else { throw SetupError(.inputOutput, "out of memory") }
    let run: ProgramRun
    do throws(Errno) {
      run = try ProgramRun(
        path, [], input: String(decoding: request.bytes),
        outputLimit: HelperMessage.prefixLength + HelperMessage.maximumLength, keepsErrors: false, timeout: timeout)
    } catch {
      throw SetupError(.inputOutput, "\(path) cannot be started: \(error.text)")
    }
    guard case .exited = run.end, let answer = HelperAnswer(parsing: run.outputBytes.span) else { throw invalid }
    if answer.status != .done { throw failure(of: answer) }
    return answer
  }

  private static func failure(of answer: borrowing HelperAnswer) -> SetupError {
    guard let reason = answer.reason else { return invalid }
    let text = String(decoding: answer.text)
    return switch reason {
    case .configuration: SetupError(.configuration, text, hint: "see \(settings)")
    case .io: SetupError(.inputOutput, text)
    default: SetupError(.unusableData, text)
    }
  }

  private static var invalid: SetupError {
    SetupError(.configuration, "\(name) gave no valid answer", hint: "install the package \(name) again")
  }
}
