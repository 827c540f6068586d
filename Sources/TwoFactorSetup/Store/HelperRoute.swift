import Enrollment
import FixedMemory
import Glibc
import HelperProtocol
import HostAccess
import OneTimePassword
import SystemFiles
import Verification

/// An enrollment that another program opens for this process. `twofactor-helper` opens that of the calling user, in the
/// host store or a database. `twofactor-store-postgresql` opens any enrollment in a database for root.
final class HelperRoute {
  private let account: UserAccount
  private let directory: String
  private let program: HelperProgram
  private let isOfRoot: Bool
  /// The ticket of the last accepted code. It allows changes of that enrollment for ``ticketLifetime`` seconds.
  private var ticket = ByteText()
  private var ticketTime: Int64 = 0

  private static let ticketLifetime: Int64 = 900

  /// The calling user's. `directory`: that of ``EnrollmentStore``.
  init(account: UserAccount, directory: String) {
    self.account = account
    self.directory = directory
    program = .helper
    isOfRoot = false
  }

  /// For root, which needs no tickets.
  init(toRowOf account: UserAccount) {
    self.account = account
    directory = EnrollmentStore.database
    program = .store(of: account.nameText)
    isOfRoot = true
  }

  private var isInDatabase: Bool { directory == EnrollmentStore.database }

  /// Throws if the host lacks a directory that packages create.
  static func requireFolders() throws {
    let users = HostSettings.folder(of: String(decoding: EnrollmentPath.hostTemplate.bytes))
    for folder in [users, String(decoding: EnrollmentRegister.path.bytes)] where !folder.isAccessible(F_OK) {
      throw SetupError(
        .configuration, "\(folder) does not exist",
        hint: "the administrator can create it: install -d -o root -g _twofactor -m 1730 \(folder)")
    }
  }

  /// Nil if the user is not enrolled.
  func report() throws -> EnrollmentStatus? {
    let answer = try ask(HelperRequest.status.encoded)
    guard answer.status == .done else { return nil }
    guard let status = EnrollmentStatus(user: account.nameText, directory: directory, answer.message.bytes) else {
      throw invalid
    }
    return status
  }

  func standing() throws -> EnrollmentStore.Standing {
    do {
      return try report() == nil ? .absent : .enrolled
    } catch let error as SetupError where isOfRoot && error.status == .unusableData {
      // Root can replace or remove it.
      return .unusable(EnrollmentFailure(.corrupt, "credential or state", "cannot be used"))
    }
  }

  func check(_ text: Span<UInt8>, _ flags: CheckFlags) throws -> CheckedCode {
    let answer = try ask(HelperRequest.check(text, flags))
    guard answer.status != .absent else { throw Self.gone }
    guard let checked = CheckedCode(answer) else { throw invalid }
    if checked.ticket.count > 0 {
      ticket = ByteText(capacity: checked.ticket.count)
      ticket.append(checked.ticket)
      ticketTime = SystemClock.now
    }
    return checked
  }

  func replace(_ change: borrowing EnrollmentChange) throws {
    try make(HelperRequest.replace(change, ticket: ticket.bytes))
  }

  func resync(_ name: String, _ first: Span<UInt8>, _ second: Span<UInt8>) throws -> ResyncVerdict {
    let answer = try askHoldingSignals(HelperRequest.resync(name.utf8.span, first, second))
    guard answer.status != .absent else { throw Self.gone }
    guard let verdict = ResyncAnswer.verdict(of: answer) else { throw invalid }
    return verdict
  }

  func unlock() throws { try make(HelperRequest.unlock.encoded) }

  func remove() throws { try make(HelperRequest.remove.encoded(ticket: ticket.bytes)) }

  func credential() throws -> Credential {
    let answer = try ask(HelperRequest.show.encoded(ticket: ticket.bytes))
    guard answer.status == .done else { throw Self.gone }
    var reader = MessageReader()
    let rest = reader.rest(of: answer.message.bytes)
    guard var text = SecretBuffer(capacity: rest.count), text.append(rest) else { throw SetupError.outOfMemory }
    do throws(EnrollmentFailure) {
      return try Credential(parsing: text)
    } catch {
      throw invalid
    }
  }

  private func make(_ request: consuming SecretBuffer?) throws {
    guard try askHoldingSignals(request).status == .done else { throw Self.gone }
  }

  /// If a signal ended this command, the helper would still complete the change.
  private func askHoldingSignals(_ request: consuming SecretBuffer?) throws -> HelperAnswer {
    let interruptions = try Interruptions()
    defer { while interruptions.next() != nil {} }
    return try ask(request, isChange: true)
  }

  /// Returns the answers `done`, `refused` and `absent`; throws for all others.
  private func ask(_ request: consuming SecretBuffer?, isChange: Bool = false) throws -> HelperAnswer {
    if !isInDatabase { try Self.requireFolders() }
    let answer = try program.ask(request)
    // The old credential was valid when its code was checked, so the new one is invalid.
    if isChange, answer.reason == .corrupt { throw CredentialDraft.failure }
    try requireResult(answer)
    return answer
  }

  private func requireResult(_ answer: borrowing HelperAnswer) throws {
    switch answer.status {
    case .done, .refused, .absent: break
    case .forbidden: throw SetupError.disablingForbidden
    case .noTicket where ticket.count > 0 && SystemClock.now >= ticketTime + Self.ticketLifetime:
      throw SetupError(
        .refused, "the code was typed more than \(Self.ticketLifetime / 60) minutes ago, so nothing was changed",
        hint: "run the command again")
    case .noTicket:
      throw SetupError(
        .refused, "the enrollment was changed meanwhile, so nothing was changed", hint: "run the command again")
    case .unavailable:
      throw SetupError(.configuration, "\(program.name) does not serve this store", hint: "see \(HostSettings.path)")
    case .malformed, .unknownVersion, .unknownRequest, .failed:
      guard let reason = answer.reason else { throw SetupError.outOfMemory }
      throw failure(reason, String(decoding: answer.text))
    }
  }

  private func failure(_ reason: EnrollmentFailure.Reason, _ text: String) -> SetupError {
    let command = "twofactor disable --user \(account.nameText.printable)"
    let message = isInDatabase ? text : "\(directory): \(text)"
    switch reason {
    case .missing, .insecure, .corrupt:
      return SetupError(
        .unusableData, message,
        hint: isOfRoot ? "erase the enrollment: \(command)" : "ask the administrator to run: \(command)")
    case .gone: return Self.gone
    case .configuration:
      return SetupError(
        .configuration, message,
        hint: isOfRoot ? "see what to correct: twofactor doctor" : "the administrator can correct it")
    case .absent, .io:
      if text.contains("without its group") {
        return SetupError(
          .inputOutput, message,
          hint:
            "a session with no_new_privs, as of some containers and services, ignores its set-group-ID bit; use another"
        )
      }
      return SetupError(
        .inputOutput, message, hint: isOfRoot ? "see the state of the servers: twofactor fleet status" : nil)
    }
  }

  private static var gone: SetupError { SetupError(.refused, "two-factor was switched off meanwhile") }

  private var invalid: SetupError { SetupError(.configuration, "\(program.name) gave no valid answer") }
}

extension CheckedCode {
  /// The common period in seconds; nil if periods differ, or for HOTP.
  var onlyPeriod: Int64? { period > 0 ? period : nil }
}

extension EnrollmentStatus {
  /// Parses the answer to ``HelperRequest/status`` without its length; nil if invalid.
  init?(user: String, directory: String, _ message: Span<UInt8>) {
    var reader = MessageReader()
    self.init(user: user, directory: directory)
    enabledAt = reader.time(of: message)
    lastUsedAt = reader.use(of: message)
    failures = UInt32(truncatingIfNeeded: reader.number(of: message))
    let (kind, moment) = (reader.byte(of: message), reader.time(of: message))
    throttling = kind == 0 ? .no : kind == 1 ? .until(moment) : .locked
    backupCodes = Int(reader.byte(of: message))
    backupCodesLeft = Int(reader.byte(of: message))
    backupCodeSetting = String(decoding: reader.field(of: message))
    repeat {
      let (kind, number) = (reader.byte(of: message), reader.number(of: message))
      let code = reader.byte(of: message)
      let algorithm = [HashAlgorithm.sha1, .sha256, .sha512].first { $0.code == code }
      guard let algorithm, let digits = CodeDigits(rawValue: reader.byte(of: message)) else { return nil }
      let clockOffset = Int64(bitPattern: reader.number(of: message))
      let (enabledAt, lastUsedAt) = (reader.time(of: message), reader.use(of: message))
      devices.append(
        DeviceStatus(
          name: String(decoding: reader.field(of: message)),
          kind: kind == 1 ? .totp(period: Int64(bitPattern: number)) : .hotp(counter: number), algorithm: algorithm,
          digits: digits, clockOffset: clockOffset, enabledAt: enabledAt, lastUsedAt: lastUsedAt))
      guard devices.count <= Credential.maximumDevices else { return nil }
    } while !reader.isComplete(message)
  }
}

extension MessageReader {
  fileprivate mutating func time(of message: Span<UInt8>) -> Int64 { Int64(bitPattern: number(of: message)) }

  /// Nil for 0.
  fileprivate mutating func use(of message: Span<UInt8>) -> Int64? {
    let time = time(of: message)
    return time > 0 ? time : nil
  }
}
