internal import FixedMemory

/// The record of a login state: 1024 bytes, numbers in little-endian order, the rest zero.
///
///      0   8  "2FASTATE"                64   8  backup code last used at
///      8   4  version, 1                72   8  last used at
///     12   4  length, 1024             128  16  × 16 devices: next factor, last used at (8 each)
///     16   8  sequence number          384  32  × 8 addresses: service (8), address (16), passed at (8)
///     24  16  generation              1016   8  checksum of what stands before it
///     40   4  failures
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
  public func record(sequence: UInt64) -> InlineArray<1024, UInt8> {
    var writer = RecordBytes()
    writer.put(RecordBytes.magic, at: 0)
    writer.put(UInt64(1 | UInt64(Self.recordLength) << 32), at: 8)
    writer.put(sequence, at: 16)
    var indices = Counter(to: Generation.length)
    while let index = indices.next() { writer.put(generation.bytes.span.byte(at: index) ?? 0, at: 24 &+ index) }
    writer.put(UInt64(failures), at: 40)
    writer.put(UInt64(bitPattern: throttledUntil), at: 48)
    writer.put(UInt64(spentBackupCodes), at: 56)
    writer.put(UInt64(bitPattern: backupCodeUsedAt), at: 64)
    writer.put(UInt64(bitPattern: lastUsedAt), at: 72)
    indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      writer.put(self[device: index].nextFactor, at: 128 &+ 16 &* index)
      writer.put(UInt64(bitPattern: self[device: index].lastUsedAt), at: 136 &+ 16 &* index)
    }
    indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let (entry, offset) = (grace(at: index), 384 &+ 32 &* index)
      writer.put(entry.key.service, at: offset)
      writer.put(entry.key.highAddress, at: offset &+ 8)
      writer.put(entry.key.lowAddress, at: offset &+ 16)
      writer.put(UInt64(bitPattern: entry.passedAt), at: offset &+ 24)
    }
    writer.put(writer.checksum(), at: RecordBytes.checksumOffset)
    return writer.bytes
  }

  /// Reads a record.
  public static func read(record bytes: Span<UInt8>) -> RecordResult {
    guard let reader = RecordBytes(bytes), reader.number(at: 0) == RecordBytes.magic,
      reader.number(at: RecordBytes.checksumOffset) == reader.checksum()
    else { return .damaged }
    guard reader.number(at: 8) == 1 | UInt64(recordLength) << 32 else { return .unknownVersion }
    var name = InlineArray<16, UInt8>(repeating: 0)
    var indices = Counter(to: Generation.length)
    while let index = indices.next() {
      // SAFETY: the index is below the length of the array.
      unsafe name[unchecked: index] = reader.bytes.span.byte(at: 24 &+ index) ?? 0
    }
    var state = LoginState(generation: Generation(bytes: name))
    state.failures = UInt32(truncatingIfNeeded: reader.number(at: 40))
    state.throttledUntil = Int64(bitPattern: reader.number(at: 48))
    state.spend(backupCodes: UInt32(truncatingIfNeeded: reader.number(at: 56)))
    state.backupCodeUsedAt = Int64(bitPattern: reader.number(at: 64))
    state.lastUsedAt = Int64(bitPattern: reader.number(at: 72))
    indices = Counter(to: Credential.maximumDevices)
    while let index = indices.next() {
      state[device: index] = DeviceState(
        nextFactor: reader.number(at: 128 &+ 16 &* index),
        lastUsedAt: Int64(bitPattern: reader.number(at: 136 &+ 16 &* index)))
    }
    indices = Counter(to: Self.graceEntries)
    while let index = indices.next() {
      let offset = 384 &+ 32 &* index
      let key = GraceKey(
        service: reader.number(at: offset), highAddress: reader.number(at: offset &+ 8),
        lowAddress: reader.number(at: offset &+ 16))
      state.setGrace(GraceEntry(key: key, passedAt: Int64(bitPattern: reader.number(at: offset &+ 24))), at: index)
    }
    return .valid(Record(sequence: reader.number(at: 16), state: state))
  }
}

/// The bytes of a record, with access to the numbers in it.
private struct RecordBytes {
  /// "2FASTATE" in little-endian order.
  static var magic: UInt64 { 0x4554_4154_5341_4632 }

  static var checksumOffset: Int { 1016 }

  var bytes = InlineArray<1024, UInt8>(repeating: 0)

  init() {}

  init?(_ source: Span<UInt8>) {
    guard source.count == bytes.count else { return nil }
    var indices = Counter(to: bytes.count)
    while let index = indices.next() {
      // SAFETY: both have this many bytes.
      unsafe bytes[unchecked: index] = source[unchecked: index]
    }
  }

  mutating func put(_ byte: UInt8, at offset: Int) {
    guard offset >= 0, offset < bytes.count else { return }
    // SAFETY: the offset was compared with both bounds.
    unsafe bytes[unchecked: offset] = byte
  }

  mutating func put(_ number: UInt64, at offset: Int) {
    var indices = Counter(to: 8)
    while let index = indices.next() {
      put(UInt8(truncatingIfNeeded: number &>> (8 &* UInt64(truncatingIfNeeded: index))), at: offset &+ index)
    }
  }

  func number(at offset: Int) -> UInt64 {
    guard offset >= 0, offset <= bytes.count &- 8 else { return 0 }
    // SAFETY: eight bytes from the offset lie within the record.
    return unsafe bytes.span.withUnsafeBytes { buffer in
      UInt64(littleEndian: unsafe buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
  }

  /// A hash of the words before it, FNV-1a with words in the place of bytes and a shift that carries the high
  /// bits down. Each step maps the hash so far one to one, so a change within one word is always seen. It is
  /// there against accidents, not against the owner of the file.
  func checksum() -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for offset in stride(from: 0, to: Self.checksumOffset, by: 8) {
      hash = (hash ^ number(at: offset)) &* 0x0000_0100_0000_01b3
      hash ^= hash &>> 29
    }
    return hash
  }
}
