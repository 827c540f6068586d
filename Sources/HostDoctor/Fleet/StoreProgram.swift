import Enrollment
import FixedMemory
import HelperProtocol
import HostAccess
import SystemFiles

/// The requests of root to `twofactor-store-postgresql` about the servers and the sealing keys.
package enum StoreProgram {
  package static let name = HelperProgram.storeName
  package static let settings = "/etc/security/twofactor-postgresql.conf"

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
      throw SetupError.outOfMemory
    }
    writer.add(number: count)
    let answer = try ask(writer.finish())
    let message = answer.message.bytes
    var reader = MessageReader()
    let (resealed, others) = (reader.number(of: message), reader.number(of: message))
    guard reader.isComplete(message) else { throw invalid }
    return (Int(clamping: resealed), Int(clamping: others))
  }

  /// Returns an answer of status `done`.
  private static func ask(_ request: consuming SecretBuffer?) throws -> HelperAnswer {
    let answer = try HelperProgram.store(of: nil).ask(request)
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
