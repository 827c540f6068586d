internal import CSystem
public import FixedMemory

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

  /// Which words of eight bytes hold what.
  enum Place {
    static var magic: Int { 0 }
    static var versionAndLength: Int { 1 }
    static var sequence: Int { 2 }
    static var generation: Int { 3 }
    static var failures: Int { 5 }
    static var throttledUntil: Int { 6 }
    static var spentBackupCodes: Int { 7 }
    static var backupCodeUsedAt: Int { 8 }
    static var lastUsedAt: Int { 9 }
    static var earlyGuesses: Int { 10 }
    static var devices: Int { 16 }
    static var grace: Int { 48 }
    static var checksum: Int { 127 }
  }

  /// The first word of every record: "2FASTATE" in little-endian order.
  private static var magic: UInt64 { 0x4554_4154_5341_4632 }

  private static var versionAndLength: UInt64 { 1 | UInt64(recordLength) << 32 }

  /// A word of the record; 0 where there is none, and what is put there is left out.
  subscript(place: Int) -> UInt64 {
    @inline(__always) get {
      guard place >= 0, place < words.count else { return 0 }
      // SAFETY: the place was compared with both bounds.
      return unsafe UInt64(littleEndian: words[unchecked: place])
    }
    @inline(__always) set {
      guard place >= 0, place < words.count else { return }
      // SAFETY: the place was compared with both bounds.
      unsafe words[unchecked: place] = newValue.littleEndian
    }
  }

  /// A record, looked at where it lies.
  public struct Record: ~Escapable {
    private let bytes: Span<UInt8>

    /// The record in these bytes.
    @_lifetime(copy bytes)
    public init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    /// Whether it is one, and the checksum holds.
    public var isIntact: Bool {
      bytes.count == recordLength && bytes.number(at: 0) == magic
        && bytes.number(at: 8 &* Place.checksum) == bytes.recordChecksum()
    }

    /// Whether it is of this version of the program, and not of a later one.
    public var hasKnownVersion: Bool { bytes.number(at: 8 &* Place.versionAndLength) == versionAndLength }

    /// Counts the states of an enrolment: the highest is the newest.
    public var sequence: UInt64 { bytes.number(at: 8 &* Place.sequence) }

    /// The version of the credential that it belongs to.
    public var generation: Generation {
      Generation(low: bytes.number(at: 8 &* Place.generation), high: bytes.number(at: 8 &* (Place.generation &+ 1)))
    }

    /// Copies what it says into a state.
    public func read(into state: inout LoginState) {
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe withUnsafeMutableBytes(of: &state.words) { words in
          guard let base = words.baseAddress, let start = bytes.baseAddress, bytes.count >= words.count else { return }
          // SAFETY: both have as many bytes as the words.
          unsafe base.copyMemory(from: start, byteCount: words.count)
        }
      }
    }
  }

  /// Adds the record to a buffer.
  ///
  /// - Parameters:
  ///   - sequence: Counts the states of an enrolment.
  ///   - buffer: Where it is added.
  /// - Returns: False where it does not fit.
  public func write(sequence: UInt64, to buffer: inout SecretBuffer) -> Bool {
    unsafe withUnsafeBytes(of: words) { words in
      unsafe Self.write(Span(_unsafeBytes: words), sequence: sequence, to: &buffer)
    }
  }

  /// Adds the record of a state to a buffer.
  ///
  /// - Parameters:
  ///   - words: The bytes of the state.
  ///   - sequence: Counts the states of an enrolment.
  ///   - buffer: Where it is added.
  /// - Returns: False where it does not fit.
  static func write(_ words: Span<UInt8>, sequence: UInt64, to buffer: inout SecretBuffer) -> Bool {
    let written = unsafe buffer.fill { room in
      unsafe words.withUnsafeBytes { words in
        guard let base = room.baseAddress, let start = words.baseAddress, room.count >= Self.recordLength,
          words.count <= 8 &* Place.checksum
        else { return 0 }
        // SAFETY: there is room for a record, which is longer than the words.
        unsafe base.copyMemory(from: start, byteCount: words.count)
        unsafe memset(base + words.count, 0, Self.recordLength &- words.count)
        unsafe base.storeBytes(of: Self.magic.littleEndian, as: UInt64.self)
        unsafe (base + 8).storeBytes(of: Self.versionAndLength.littleEndian, as: UInt64.self)
        unsafe (base + 16).storeBytes(of: sequence.littleEndian, as: UInt64.self)
        let record = unsafe UnsafeRawBufferPointer(start: base, count: Self.recordLength)
        let checksum = unsafe Span<UInt8>(_unsafeBytes: record).recordChecksum()
        unsafe (base + 8 &* Place.checksum).storeBytes(of: checksum.littleEndian, as: UInt64.self)
        return Self.recordLength
      }
    }
    return written == Self.recordLength
  }
}

extension Span where Element == UInt8 {
  /// A hash of all words but the last, FNV-1a with words in the place of bytes and a shift that carries the high
  /// bits down. Each step maps the hash so far one to one, so a change within one word is always seen. It is
  /// there against accidents, not against the owner of the file.
  @inline(never)
  fileprivate func recordChecksum() -> UInt64 {
    unsafe withUnsafeBytes { bytes in
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      guard let base = bytes.baseAddress, bytes.count == LoginState.recordLength else { return hash }
      // 127 words: seven times eighteen, which the compiler writes out, and one before.
      hash = unsafe base.hashed(hash, at: 0)
      var offset = 8
      while offset < LoginState.recordLength &- 8 {
        let end = offset &+ 8 &* 18
        while offset < end {
          // SAFETY: eight bytes from the offset are there.
          hash = unsafe base.hashed(hash, at: offset)
          offset &+= 8
        }
      }
      return hash
    }
  }
}

extension UnsafeRawPointer {
  /// One step of the checksum.
  @inline(__always)
  fileprivate func hashed(_ hash: UInt64, at offset: Int) -> UInt64 {
    // SAFETY: the caller has eight bytes there.
    let word = unsafe UInt64(littleEndian: (self + offset).loadUnaligned(as: UInt64.self))
    let product = (hash ^ word) &* 0x0000_0100_0000_01b3
    return product ^ (product &>> 29)
  }
}
