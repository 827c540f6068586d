internal import FixedMemory

/// HMAC built on a digest: the two padded keys of RFC 2104 are hashed once, and every moving factor goes on from
/// there, so that a whole window costs two blocks a code instead of four.
struct DigestHMAC: ~Copyable, MessageAuthentication {
  private let algorithm: HashAlgorithm

  // Five parts: the hash of the inner pad, of the outer pad, the hash under way, and two blocks that are padded already:
  // one for the moving factor, one for the inner hash.
  private let memory: SecretBuffer

  private static var factorOffset: Int { unsafe 3 &* DigestContext.size }
  private static var hashOffset: Int { factorOffset &+ HashAlgorithm.longestBlock }
  private static var size: Int { hashOffset &+ HashAlgorithm.longestBlock }

  static func prepareLibrary() { unsafe DigestContext.prepare() }

  init?(key: Span<UInt8>, algorithm: HashAlgorithm) {
    guard let memory = SecretBuffer(capacity: Self.size) else { return nil }
    self.algorithm = algorithm
    self.memory = memory
    unsafe self.memory.withMemory { base in
      unsafe Self.preparePads(in: base, key: key, algorithm: algorithm)
      unsafe Self.pad(base + Self.factorOffset, behind: MemoryLayout<UInt64>.size, algorithm)
      unsafe Self.pad(base + Self.hashOffset, behind: algorithm.digestLength, algorithm)
    }
  }

  // SAFETY: `base` has room for three contexts and two of the longest blocks, all zero; a digest is shorter than a block.
  private static func preparePads(in base: UnsafeMutableRawPointer, key: Span<UInt8>, algorithm: HashAlgorithm) {
    let block = unsafe base + factorOffset
    let inner = unsafe DigestContext(algorithm: algorithm, memory: base)
    let outer = unsafe DigestContext(algorithm: algorithm, memory: base + DigestContext.size)
    unsafe key.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      if bytes.count > algorithm.blockLength {
        // A key longer than a block is replaced by its hash (RFC 2104 section 2).
        unsafe inner.hash(start, count: bytes.count, into: block)
      } else {
        unsafe block.copyMemory(from: start, byteCount: bytes.count)
      }
    }
    let (innerPad, outerPad): (UInt64, UInt64) = (0x3636_3636_3636_3636, 0x5c5c_5c5c_5c5c_5c5c)
    unsafe apply(innerPad, to: block, algorithm)
    unsafe inner.start()
    unsafe inner.add(block: block)
    unsafe apply(innerPad ^ outerPad, to: block, algorithm)
    unsafe outer.start()
    unsafe outer.add(block: block)
    unsafe block.initializeMemory(as: UInt8.self, repeating: 0, count: algorithm.blockLength)
  }

  // SAFETY: a block has this many bytes, whole words of eight.
  private static func apply(_ pad: UInt64, to block: UnsafeMutableRawPointer, _ algorithm: HashAlgorithm) {
    var offset = 0
    while offset < algorithm.blockLength {
      let word = unsafe block.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      unsafe block.storeBytes(of: word ^ pad, toByteOffset: offset, as: UInt64.self)
      offset &+= 8
    }
  }

  /// Pads a block of zeros for a message of so many bytes that comes behind a block of padded key: a bit that is set
  /// behind it, and at the end the length of both in bits (FIPS 180-4 section 5.1).
  // SAFETY: a moving factor or a hash, the bit and the length are shorter than a block.
  private static func pad(_ block: UnsafeMutableRawPointer, behind length: Int, _ algorithm: HashAlgorithm) {
    unsafe block.storeBytes(of: 0x80, toByteOffset: length, as: UInt8.self)
    let bits = UInt64(truncatingIfNeeded: 8 &* (algorithm.blockLength &+ length))
    unsafe block.storeBytes(of: bits.bigEndian, toByteOffset: algorithm.blockLength &- 8, as: UInt64.self)
  }

  @inline(never)
  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? {
    let algorithm = algorithm
    return unsafe memory.withMemory { base in
      let size = unsafe DigestContext.size
      let work = unsafe DigestContext(algorithm: algorithm, memory: base + 2 &* size)
      let hash = unsafe base + Self.hashOffset

      unsafe (base + Self.factorOffset).storeBytes(of: movingFactor.bigEndian, as: UInt64.self)
      unsafe work.copy(from: DigestContext(algorithm: algorithm, memory: base))
      unsafe work.add(block: base + Self.factorOffset)
      unsafe work.finish(into: hash)

      unsafe work.copy(from: DigestContext(algorithm: algorithm, memory: base + size))
      unsafe work.add(block: hash)
      unsafe work.finish(into: hash)
      return unsafe dynamicTruncation(
        of: UnsafeRawPointer(hash).assumingMemoryBound(to: UInt8.self), length: algorithm.digestLength)
    }
  }
}
