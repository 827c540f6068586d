internal import FixedMemory

/// HMAC built on a digest: the two padded keys of RFC 2104 are hashed once, and every moving factor goes on from
/// there, so that a whole window costs two blocks a code instead of four.
struct DigestHMAC: ~Copyable, MessageAuthentication {
  private let algorithm: HashAlgorithm

  // Four parts: the hash of the inner pad, of the outer pad, the hash under way, and a block or a digest.
  private let memory: SecretBuffer

  private static var blockOffset: Int { unsafe 3 &* DigestContext.size }
  private static var longestBlock: Int { 128 }

  static func prepareLibrary() { unsafe DigestContext.prepare() }

  init?(key: Span<UInt8>, algorithm: HashAlgorithm) {
    guard let memory = SecretBuffer(capacity: Self.blockOffset &+ Self.longestBlock) else { return nil }
    self.algorithm = algorithm
    self.memory = memory
    unsafe self.memory.withMemory { base in
      unsafe Self.preparePads(in: base, key: key, algorithm: algorithm)
    }
  }

  // SAFETY: `base` has room for three contexts and the longest block; a digest is never longer than a block.
  @_optimize(speed)
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

  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? {
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
      return unsafe dynamicTruncation(of: digest, length: algorithm.digestLength)
    }
  }
}
