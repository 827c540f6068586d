internal import FixedMemory

/// The record of a login state: 1024 bytes, numbers in little-endian order, the rest zero.
///
///      0   8  "2FASTATE"                64   8  backup code last used at
///      8   4  version, 1                72   8  last used at
///     12   4  length, 1024             128  16  × 16 devices: next factor, last used at (8 each)
///     16   8  sequence number          384  32  × 8 addresses: service (8), address (16), passed at (8)
///     24  16  generation              1016   8  checksum of what stands before it
///     40   4  failures                  80   4  early guesses
///     48   8  throttled until
///     56   4  spent backup codes
extension LoginState {
  /// The length of the record.
  public static var recordLength: Int { 1024 }

  /// A record as it was read.
  public struct Record: Sendable {
    /// Counts the states of an enrolment: the highest is the newest.
    public var sequence: UInt64

    /// The state.
    public var state: LoginState
  }

  /// How a record was read.
  public enum RecordResult: Sendable {
    case valid(Record)

    /// The checksum does not hold.
    case damaged

    /// A record of a later version of this program.
    case unknownVersion
  }

  /// Writes the record.
  @_optimize(speed)
  public func record(sequence: UInt64) -> InlineArray<1024, UInt8> {
    var record = InlineArray<1024, UInt8>(repeating: 0)
    var bytes = record.mutableSpan
    bytes.put(Layout.magic, at: 0)
    bytes.put(Layout.versionAndLength, at: 8)
    bytes.put(sequence, at: 16)
    bytes.put(generation.low, at: 24)
    bytes.put(generation.high, at: 32)
    bytes.put(UInt64(failures), at: 40)
    bytes.put(UInt64(bitPattern: throttledUntil), at: 48)
    bytes.put(UInt64(spentBackupCodes), at: 56)
    bytes.put(UInt64(bitPattern: backupCodeUsedAt), at: 64)
    bytes.put(UInt64(bitPattern: lastUsedAt), at: 72)
    bytes.put(UInt64(earlyGuesses), at: 80)
    var indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      bytes.put(self[device: index].nextFactor, at: 128 &+ 16 &* index)
      bytes.put(UInt64(bitPattern: self[device: index].lastUsedAt), at: 136 &+ 16 &* index)
    }
    indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let (entry, offset) = (grace(at: index), 384 &+ 32 &* index)
      bytes.put(entry.key.service, at: offset)
      bytes.put(entry.key.highAddress, at: offset &+ 8)
      bytes.put(entry.key.lowAddress, at: offset &+ 16)
      bytes.put(UInt64(bitPattern: entry.passedAt), at: offset &+ 24)
    }
    let checksum = bytes.span.recordChecksum
    bytes.put(checksum, at: Layout.checksumOffset)
    return record
  }

  /// Reads a record.
  public static func read(record bytes: Span<UInt8>) -> RecordResult {
    guard bytes.count == recordLength, bytes.number(at: 0) == Layout.magic,
      bytes.number(at: Layout.checksumOffset) == bytes.recordChecksum
    else { return .damaged }
    guard bytes.number(at: 8) == Layout.versionAndLength else { return .unknownVersion }
    var state = LoginState(generation: Generation(low: bytes.number(at: 24), high: bytes.number(at: 32)))
    state.failures = UInt32(truncatingIfNeeded: bytes.number(at: 40))
    state.throttledUntil = Int64(bitPattern: bytes.number(at: 48))
    state.spend(backupCodes: UInt32(truncatingIfNeeded: bytes.number(at: 56)))
    state.backupCodeUsedAt = Int64(bitPattern: bytes.number(at: 64))
    state.lastUsedAt = Int64(bitPattern: bytes.number(at: 72))
    state.earlyGuesses = UInt32(truncatingIfNeeded: bytes.number(at: 80))
    var indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      state[device: index] = DeviceState(
        nextFactor: bytes.number(at: 128 &+ 16 &* index),
        lastUsedAt: Int64(bitPattern: bytes.number(at: 136 &+ 16 &* index)))
    }
    indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let offset = 384 &+ 32 &* index
      let key = GraceKey(
        service: bytes.number(at: offset), highAddress: bytes.number(at: offset &+ 8),
        lowAddress: bytes.number(at: offset &+ 16))
      state.setGrace(GraceEntry(key: key, passedAt: Int64(bitPattern: bytes.number(at: offset &+ 24))), at: index)
    }
    return .valid(Record(sequence: bytes.number(at: 16), state: state))
  }

  /// What stands where, and does not change.
  private enum Layout {
    /// "2FASTATE" in little-endian order.
    static var magic: UInt64 { 0x4554_4154_5341_4632 }

    static var versionAndLength: UInt64 { 1 | UInt64(recordLength) << 32 }
    static var checksumOffset: Int { 1016 }
  }
}

extension Span where Element == UInt8 {
  /// A hash of all words but the last, FNV-1a with words in the place of bytes and a shift that carries the high
  /// bits down. Each step maps the hash so far one to one, so a change within one word is always seen. It is
  /// there against accidents, not against the owner of the file.
  @_optimize(speed)
  fileprivate var recordChecksum: UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var offset = 0
    while offset < count &- 8 {
      hash = (hash ^ number(at: offset)) &* 0x0000_0100_0000_01b3
      hash ^= hash &>> 29
      offset &+= 8
    }
    return hash
  }
}
