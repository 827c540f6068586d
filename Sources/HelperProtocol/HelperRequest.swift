public import Enrollment
public import FixedMemory

/// A request to `twofactor-helper` for its real user.
public enum HelperRequest: UInt8, Sendable {
  /// Reports the enrollment without its secrets.
  case status = 1

  /// Verifies a code, and uses it up.
  case check = 2

  /// Creates or replaces the enrollment.
  case replace = 3

  /// Removes the enrollment.
  case remove = 4

  /// Adds the user to the register of enrolled users.
  case register = 5

  /// Removes the user from the register.
  case unregister = 6

  /// Returns the credential with its secrets.
  case show = 7

  /// Resynchronizes a device by two consecutive codes.
  case resync = 8

  // Requests of root to the store program alone:

  /// Verifies a code with the limits of a PAM rule, or checks whether a grace period applies.
  case login = 9

  /// Ends throttling and lockout.
  case unlock = 10

  /// Lists the enrolled users.
  case list = 11

  /// Stores a credential and its state.
  case put = 12

  /// Returns credential and state.
  case export = 13

  /// Reports on the servers.
  case describe = 14

  /// Seals credentials with the first key again.
  case reseal = 15

  /// Whether `twofactor-helper` carries out the request, too.
  public var isOfUsers: Bool { rawValue <= Self.resync.rawValue }

  /// Parses the number of a message without its length.
  ///
  /// - Throws: The status of the answer.
  public init(parsing message: Span<UInt8>) throws(HelperStatus) {
    guard let version = message.byte(at: 0), let number = message.byte(at: 1) else { throw .malformed }
    guard version == HelperMessage.version else { throw .unknownVersion }
    guard let request = HelperRequest(rawValue: number) else { throw .unknownRequest }
    self = request
  }

  /// The message of a request without a body. Nil if memory is short, as below.
  public var encoded: SecretBuffer? { MessageWriter(rawValue, capacity: 1)?.finish() }

  /// ``remove`` or ``show`` with a ticket from ``check``.
  public func encoded(ticket: Span<UInt8>) -> SecretBuffer? {
    guard var writer = MessageWriter(rawValue, capacity: 2 &+ ticket.count) else { return nil }
    writer.add(field: ticket)
    return writer.finish()
  }

  /// ``check`` of a reply as the user typed it.
  public static func check(_ text: Span<UInt8>, _ flags: CheckFlags) -> SecretBuffer? {
    // Without a MessageWriter, for a smaller module.
    guard var message = HelperMessage.start(check.rawValue, bodyLength: 3 &+ text.count),
      message.append(flags.rawValue), message.append(UInt8(truncatingIfNeeded: text.count)),
      message.append(UInt8(truncatingIfNeeded: text.count &>> 8)), message.append(text)
    else { return nil }
    return message
  }

  /// ``resync`` of the device with this name, by the codes as the user typed them.
  public static func resync(_ name: Span<UInt8>, _ first: Span<UInt8>, _ second: Span<UInt8>) -> SecretBuffer? {
    guard var writer = MessageWriter(resync.rawValue, capacity: 6 &+ name.count &+ first.count &+ second.count) else {
      return nil
    }
    writer.add(field: name)
    writer.add(field: first)
    writer.add(field: second)
    return writer.finish()
  }

  /// ``replace`` by a change; the ticket is empty if the user is not enrolled.
  public static func replace(_ change: borrowing EnrollmentChange, ticket: Span<UInt8>) -> SecretBuffer? {
    let capacity = HelperMessage.maximumLength &- HelperMessage.emptyLength
    guard var writer = MessageWriter(replace.rawValue, capacity: capacity) else { return nil }
    writer.add(field: ticket)
    writer.add((change.keepsDevices ? 1 : 0) | (change.keepsBackupCodes ? 2 : 0))
    writer.add(field: change.removedDevice.bytes)
    writer.add(field: change.addition.bytes)
    var index = 0
    while let state = change.states[index] {
      writer.add(number: state.nextFactor)
      writer.add(number: UInt64(bitPattern: state.lastUsedAt))
      index &+= 1
    }
    return writer.finish()
  }
}

/// How to check a code.
public struct CheckFlags: RawRepresentable, Sendable {
  /// The bits of the message.
  public let rawValue: UInt8

  /// Flags of a message.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// As at a login.
  public static var login: CheckFlags { CheckFlags(rawValue: 0) }

  /// Do not use up a right code; a wrong one counts.
  public static var keep: CheckFlags { CheckFlags(rawValue: 1) }

  /// The text is a password with a code at its end.
  public static var endOfPassword: CheckFlags { CheckFlags(rawValue: 2) }

  /// The answer is `unavailable` unless `twofactor.conf` selects the host store. The caller may have module arguments,
  /// which the helper does not know. The answer contains no ticket.
  public static var hostStore: CheckFlags { CheckFlags(rawValue: 4) }

  /// The answer is `unavailable` unless `twofactor.conf` selects `~/.twofactor`, and contains no ticket.
  public static var home: CheckFlags { CheckFlags(rawValue: 8) }

  /// In ``LoginRequest`` alone: a refused code does not count.
  public static var uncounted: CheckFlags { CheckFlags(rawValue: 16) }

  /// Both flags.
  public func union(_ other: CheckFlags) -> CheckFlags { CheckFlags(rawValue: rawValue | other.rawValue) }

  /// See ``keep``.
  public var keepsCode: Bool { rawValue & 1 != 0 }

  /// See ``endOfPassword``.
  public var isEndOfPassword: Bool { rawValue & 2 != 0 }

  /// See ``hostStore``.
  public var needsHostStore: Bool { rawValue & 4 != 0 }

  /// See ``home``.
  public var needsHome: Bool { rawValue & 8 != 0 }

  /// See ``uncounted``.
  public var countsFailure: Bool { rawValue & 16 == 0 }

  /// Whether all bits are those of ``HelperRequest/check``, and do not contradict each other.
  public var isValid: Bool { rawValue < 16 && rawValue & 3 != 3 }

  /// Whether all bits are those of ``LoginRequest``.
  var isValidAtLogin: Bool { rawValue & ~18 == 0 }
}

extension EnrollmentChange {
  /// Parses the body of ``HelperRequest/replace`` after its ticket.
  ///
  /// - Throws: ``HelperStatus/malformed``, or ``HelperStatus/failed`` if memory is short.
  public init(_ reader: inout MessageReader, of message: Span<UInt8>) throws(HelperStatus) {
    let flags = reader.byte(of: message)
    guard flags < 4 else { throw .malformed }
    let removedDevice = reader.field(of: message)
    let addition = reader.field(of: message)
    guard
      var change = EnrollmentChange(
        adding: addition, keepsDevices: flags & 1 != 0, keepsBackupCodes: flags & 2 != 0, removedDevice: removedDevice)
    else { throw .failed }
    while !reader.isComplete(message) {
      let next = reader.number(of: message)
      let state = LoginState.DeviceState(
        nextFactor: next, lastUsedAt: Int64(bitPattern: reader.number(of: message)))
      guard change.add(state) else { throw .malformed }
    }
    self = change
  }
}
