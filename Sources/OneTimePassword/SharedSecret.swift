internal import FixedMemory

/// The shared secret of one device, ready for HMAC: the two padded keys of RFC 2104 are hashed once, and every
/// moving factor goes on from there, so that a whole window costs two blocks a code instead of four.
public struct SharedSecret: ~Copyable {
  /// The shortest and the longest secret, in bytes. RFC 4226 section 4 asks for 16; existing tokens and files
  /// of other programs have less.
  public static var lengths: ClosedRange<Int> { 10...128 }

  /// The hash function under the HMAC.
  public let algorithm: HashAlgorithm

  // Four parts: the hash of the inner pad, of the outer pad, the hash under way, and a block or a digest.
  private let memory: SecretBuffer

  private static var blockOffset: Int { unsafe 3 &* DigestContext.size }
  private static var longestBlock: Int { 128 }

  /// Prepares a secret; nil where there is no memory.
  ///
  /// - Parameters:
  ///   - bytes: The secret itself, not its Base32 form. It can be forgotten afterwards.
  ///   - algorithm: The hash function of the device.
  public init?(_ bytes: Span<UInt8>, algorithm: HashAlgorithm) {
    guard let memory = SecretBuffer(capacity: Self.blockOffset &+ Self.longestBlock) else { return nil }
    self.algorithm = algorithm
    self.memory = memory
    unsafe self.memory.withMemory { base in
      unsafe Self.preparePads(in: base, key: bytes, algorithm: algorithm)
    }
  }

  // SAFETY: `base` has room for three contexts and the longest block; a digest is never longer than a block.
  private static func preparePads(
    in base: UnsafeMutableRawPointer, key: Span<UInt8>, algorithm: HashAlgorithm
  ) {
    let block = unsafe (base + blockOffset).assumingMemoryBound(to: UInt8.self)
    let blockLength = algorithm.blockLength
    let inner = unsafe DigestContext(algorithm: algorithm, memory: base)
    let outer = unsafe DigestContext(algorithm: algorithm, memory: base + DigestContext.size)

    var keyLength = key.count
    if keyLength > blockLength {
      // A key longer than a block is replaced by its hash (RFC 2104 section 2).
      unsafe inner.start()
      unsafe key.withUnsafeBytes { bytes in
        if let start = bytes.baseAddress { unsafe inner.update(start, count: bytes.count) }
      }
      unsafe inner.finish(into: block)
      keyLength = algorithm.digestLength
    } else {
      var indices = Counter(to: keyLength)
      while let index = indices.next() { unsafe block[index] = key.byte(at: index) ?? 0 }
    }
    while keyLength < blockLength {
      unsafe block[keyLength] = 0
      keyLength &+= 1
    }

    let (innerPad, outerPad): (UInt8, UInt8) = (0x36, 0x5c)
    var indices = Counter(to: blockLength)
    while let index = indices.next() { unsafe block[index] ^= innerPad }
    unsafe inner.start()
    unsafe inner.update(block, count: blockLength)
    indices = Counter(to: blockLength)
    while let index = indices.next() { unsafe block[index] ^= innerPad ^ outerPad }
    unsafe outer.start()
    unsafe outer.update(block, count: blockLength)
  }

  /// The HOTP value of a moving factor, a counter of HOTP or a time step of TOTP, before it is cut to digits:
  /// 31 bits (RFC 4226 section 5.3, the dynamic truncation).
  public borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32 {
    let algorithm = algorithm
    return unsafe memory.withMemory { base in
      let size = unsafe DigestContext.size
      let digest = unsafe (base + Self.blockOffset).assumingMemoryBound(to: UInt8.self)
      let work = unsafe DigestContext(algorithm: algorithm, memory: base + 2 &* size)

      unsafe work.copy(from: DigestContext(algorithm: algorithm, memory: base))
      let message = movingFactor.bigEndian
      unsafe withUnsafeBytes(of: message) { bytes in
        if let start = bytes.baseAddress { unsafe work.update(start, count: bytes.count) }
      }
      unsafe work.finish(into: digest)

      unsafe work.copy(from: DigestContext(algorithm: algorithm, memory: base + size))
      unsafe work.update(digest, count: algorithm.digestLength)
      unsafe work.finish(into: digest)

      // SAFETY: the offset is at most 15, and the shortest digest has 20 bytes.
      let offset = unsafe Int(digest[algorithm.digestLength &- 1] & 0x0f)
      let value =
        unsafe UInt32(digest[offset]) << 24 | UInt32(digest[offset &+ 1]) << 16
        | UInt32(digest[offset &+ 2]) << 8 | UInt32(digest[offset &+ 3])
      return value & 0x7fff_ffff
    }
  }

  /// The one-time password of a moving factor as a number; shown, it has leading zeros (RFC 4226 section 5.3).
  public borrowing func code(at movingFactor: UInt64, digits: CodeDigits) -> UInt32 {
    truncatedValue(at: movingFactor) % digits.modulus
  }
}
