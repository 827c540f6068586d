import Enrollment
import FixedMemory
import Glibc
import HelperProtocol
import HostAccess
import OneTimePassword
import SystemFiles
import Verification

/// The enrollment of the calling user in the host store, which only `twofactor-helper` can open for that user.
final class HelperRoute {
  private let account: UserAccount
  private let directory: String
  /// The ticket of the last accepted code. It allows changes of that enrollment for ``ticketLifetime`` seconds.
  private var ticket = ByteText()
  private var ticketTime: Int64 = 0

  private static let ticketLifetime: Int64 = 900

  init(account: UserAccount, directory: String) {
    self.account = account
    self.directory = directory
  }

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
    guard let status = EnrollmentStatus(user: account.nameText, directory: directory, answer) else {
      throw Self.invalid
    }
    return status
  }

  func check(_ text: Span<UInt8>, _ flags: CheckFlags) throws -> CheckedCode {
    let answer = try ask(HelperRequest.check(text, flags))
    guard answer.status != .absent else { throw Self.gone }
    guard let checked = CheckedCode(answer) else { throw Self.invalid }
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
    guard let verdict = ResyncAnswer.verdict(of: answer) else { throw Self.invalid }
    return verdict
  }

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
      throw Self.invalid
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
    try Self.requireFolders()
    let answer = try HelperProgram.ask(request)
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
      throw SetupError(.configuration, "twofactor-helper does not serve this store", hint: "see \(HostSettings.path)")
    case .malformed, .unknownVersion, .unknownRequest, .failed:
      guard let reason = answer.reason else { throw SetupError.outOfMemory }
      throw failure(reason, String(decoding: answer.text))
    }
  }

  private func failure(_ reason: EnrollmentFailure.Reason, _ text: String) -> SetupError {
    let administrator = "ask the administrator to run: twofactor"
    let user = "--user \(account.nameText.printable)"
    let message = "\(directory): \(text)"
    return switch reason {
    case .missing, .insecure, .corrupt:
      SetupError(.unusableData, message, hint: "\(administrator) disable \(user)")
    case .gone: Self.gone
    case .configuration: SetupError(.configuration, message, hint: "the administrator can correct it")
    case .absent, .io:
      SetupError(
        .inputOutput, message,
        hint: text.contains("without its group")
          ? "a session with no_new_privs, as of some containers and services, ignores its set-group-ID bit; use another"
          : nil)
    }
  }

  private static var gone: SetupError { SetupError(.refused, "two-factor was switched off meanwhile") }

  private static var invalid: SetupError { SetupError(.configuration, "twofactor-helper gave no valid answer") }
}

extension CheckedCode {
  /// The common period in seconds; nil if periods differ, or for HOTP.
  var onlyPeriod: Int64? { period > 0 ? period : nil }
}

extension EnrollmentStatus {
  /// Parses the answer to ``HelperRequest/status``; nil if invalid.
  fileprivate init?(user: String, directory: String, _ answer: borrowing HelperAnswer) {
    let message = answer.message.bytes
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
