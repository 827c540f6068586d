internal import CSystem
package import FixedMemory

/// The record of a state: 1024 bytes in little-endian order. Format: `pam/credential-format.md`.
extension LoginState {
  /// In bytes.
  package static var recordLength: Int { 1024 }

  /// Indices of the 8-byte words.
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

  /// "2FASTATE" as a little-endian number.
  private static var magic: UInt64 { 0x4554_4154_5341_4632 }

  private static var versionAndLength: UInt64 { 1 | UInt64(recordLength) << 32 }

  package struct Record: ~Escapable {
    private let bytes: Span<UInt8>

    @_lifetime(copy bytes)
    package init(_ bytes: Span<UInt8>) { self.bytes = bytes }

    /// Whether the record is complete and its checksum right.
    package var isIntact: Bool {
      bytes.count == recordLength && bytes.number(at: 0) == magic && word(Place.checksum) == bytes.recordChecksum
    }

    package var hasKnownVersion: Bool { word(Place.versionAndLength) == versionAndLength }

    /// Increases with each update: the higher of two records is newer.
    package var sequence: UInt64 { word(Place.sequence) }

    package var generation: Generation {
      Generation(low: word(Place.generation), high: word(Place.generation &+ 1))
    }

    private func word(_ place: Int) -> UInt64 { bytes.number(at: 8 &* place) }

    package func read(into state: inout LoginState) {
      // SAFETY: the copy is no longer than the words.
      unsafe withUnsafeMutableBytes(of: &state.words) { words in
        unsafe bytes.slice(from: 0, to: words.count).withUnsafeBytes { bytes in
          guard let target = words.baseAddress, let source = bytes.baseAddress else { return }
          unsafe target.copyMemory(from: source, byteCount: bytes.count)
        }
      }
    }
  }

  /// Returns false if the record does not fit.
  package borrowing func appendRecord(sequence: UInt64, to buffer: inout SecretBuffer) -> Bool {
    // SAFETY: a whole record is free, which is longer than the words.
    let written = unsafe withUnsafeBytes(of: words) { words in
      unsafe buffer.fill { free in
        guard let base = free.baseAddress, let source = words.baseAddress, free.count >= Self.recordLength,
          words.count <= 8 &* Place.checksum
        else { return 0 }
        unsafe base.copyMemory(from: source, byteCount: words.count)
        unsafe memset(base + words.count, 0, Self.recordLength &- words.count)
        unsafe base.storeBytes(of: Self.magic.littleEndian, toByteOffset: 8 &* Place.magic, as: UInt64.self)
        unsafe base.storeBytes(
          of: Self.versionAndLength.littleEndian, toByteOffset: 8 &* Place.versionAndLength, as: UInt64.self)
        unsafe base.storeBytes(of: sequence.littleEndian, toByteOffset: 8 &* Place.sequence, as: UInt64.self)
        let record = unsafe Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(start: base, count: Self.recordLength))
        unsafe base.storeBytes(
          of: record.recordChecksum.littleEndian, toByteOffset: 8 &* Place.checksum, as: UInt64.self)
        return Self.recordLength
      }
    }
    return written == Self.recordLength
  }

  /// Out-of-range words read as 0 and ignore writes.
  subscript(place: Int) -> UInt64 {
    @inline(__always) get {
      guard place >= 0, place < words.count else { return 0 }
      // SAFETY: the place is in bounds.
      return unsafe UInt64(littleEndian: words[unchecked: place])
    }
    @inline(__always) set {
      guard place >= 0, place < words.count else { return }
      // SAFETY: the place is in bounds.
      unsafe words[unchecked: place] = newValue.littleEndian
    }
  }
}

extension Span where Element == UInt8 {
  /// FNV-1a over the words before the checksum, with a shift that mixes high bits into low ones. Each step is a
  /// bijection, so a change within one word is always detected.
  // Not inlined, because a caller would compile the loop for size.
  @inline(never)
  @_optimize(speed)
  fileprivate var recordChecksum: UInt64 {
    // SAFETY: the record has eight bytes at each offset.
    unsafe withUnsafeBytes { bytes in
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      guard let base = bytes.baseAddress, bytes.count == LoginState.recordLength else { return hash }
      var offset = 0
      while offset < 8 &* LoginState.Place.checksum {
        hash ^= unsafe UInt64(littleEndian: (base + offset).loadUnaligned(as: UInt64.self))
        hash &*= 0x0000_0100_0000_01b3
        hash ^= hash &>> 29
        offset &+= 8
      }
      return hash
    }
  }
}
