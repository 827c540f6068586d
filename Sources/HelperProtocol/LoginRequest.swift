public import Enrollment
public import FixedMemory
public import Verification

/// The request ``HelperRequest/login``: a reply with the limits of a PAM rule.
public struct LoginRequest: ~Copyable {
  /// Only `endOfPassword` and `uncounted` are valid.
  public let flags: CheckFlags

  /// Those of the PAM rule.
  public let limits: VerificationLimits

  /// In seconds; 0 for none.
  public let gracePeriod: Int64

  /// Nil if no grace period can apply or begin.
  public let graceKey: GraceKey?

  /// The reply as typed; empty to ask whether a grace period applies.
  public let reply: SecretBuffer

  /// Parses a message without its length.
  ///
  /// - Throws: ``HelperStatus/malformed``, or ``HelperStatus/failed`` if memory is short.
  public init(parsing message: Span<UInt8>) throws(HelperStatus) {
    var reader = MessageReader()
    let flags = CheckFlags(rawValue: reader.byte(of: message))
    var limits = VerificationLimits()
    limits.window = UInt64(reader.byte(of: message))
    limits.lookAhead = UInt64(reader.byte(of: message))
    limits.maximumFailures = UInt32(reader.byte(of: message))
    let backupCodes = reader.byte(of: message)
    limits.acceptsBackupCodes = backupCodes == 1
    let gracePeriod = Int64(bitPattern: reader.number(of: message))
    let keyBytes = reader.field(of: message)
    let graceKey = GraceKey(parsing: keyBytes)
    let text = reader.field(of: message)
    guard reader.isComplete(message), flags.isValidAtLogin, backupCodes < 2, limits.maximumFailures > 0,
      gracePeriod >= 0, keyBytes.count == 0 || graceKey != nil
    else { throw .malformed }
    // In one step: version 6.3 of the compiler frees the memory of a partly initialized value twice.
    self.init(flags: flags, limits: limits, gracePeriod: gracePeriod, graceKey: graceKey, reply: try Self.copy(text))
  }

  private init(
    flags: CheckFlags, limits: VerificationLimits, gracePeriod: Int64, graceKey: GraceKey?,
    reply: consuming SecretBuffer
  ) {
    self.flags = flags
    self.limits = limits
    self.gracePeriod = gracePeriod
    self.graceKey = graceKey
    self.reply = reply
  }

  private static func copy(_ text: Span<UInt8>) throws(HelperStatus) -> SecretBuffer {
    guard var copy = SecretBuffer(capacity: text.count) else { throw .failed }
    _ = copy.append(text)
    return copy
  }

  /// The message of a request. `key` is nil if no grace period can apply. Nil if memory is short.
  public static func encoded(
    _ reply: Span<UInt8>, _ flags: CheckFlags, _ limits: VerificationLimits, gracePeriod: Int64, _ key: GraceKey?
  ) -> SecretBuffer? {
    // Without a MessageWriter, for a smaller module.
    let keyLength = key == nil ? 0 : GraceKey.encodedLength
    guard
      var message = HelperMessage.start(
        HelperRequest.login.rawValue, bodyLength: 5 &+ 8 &+ 2 &+ keyLength &+ 2 &+ reply.count)
    else { return nil }
    message.add(UInt64(flags.rawValue), byteCount: 1)
    message.add(limits.window, byteCount: 1)
    message.add(limits.lookAhead, byteCount: 1)
    message.add(UInt64(limits.maximumFailures), byteCount: 1)
    message.add(limits.acceptsBackupCodes ? 1 : 0, byteCount: 1)
    message.add(UInt64(bitPattern: gracePeriod), byteCount: 8)
    message.add(UInt64(keyLength), byteCount: 2)
    if let key {
      message.add(key.service, byteCount: 8)
      message.add(key.highAddress, byteCount: 8)
      message.add(key.lowAddress, byteCount: 8)
    }
    message.add(UInt64(reply.count), byteCount: 2)
    guard message.append(reply) else { return nil }
    return message
  }
}

extension SecretBuffer {
  /// Appends a little-endian number. The caller's buffer has room.
  @inline(never)
  fileprivate mutating func add(_ number: UInt64, byteCount: Int) {
    var indices = Counter(to: byteCount)
    while let index = indices.next() { _ = append(UInt8(truncatingIfNeeded: number &>> UInt64(8 &* index))) }
  }
}

extension GraceKey {
  fileprivate static var encodedLength: Int { 24 }

  /// Nil for another length.
  fileprivate init?(parsing bytes: Span<UInt8>) {
    guard bytes.count == Self.encodedLength else { return nil }
    self.init(
      service: Self.number(bytes, at: 0), highAddress: Self.number(bytes, at: 8),
      lowAddress: Self.number(bytes, at: 16))
  }

  private static func number(_ bytes: Span<UInt8>, at start: Int) -> UInt64 {
    var number: UInt64 = 0
    var indices = Counter(to: 8)
    while let index = indices.next() {
      number |= UInt64(bytes.byte(at: start &+ index) ?? 0) &<< UInt64(8 &* index)
    }
    return number
  }
}
