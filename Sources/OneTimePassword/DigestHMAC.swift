internal import COpenSSL
internal import FixedMemory

/// HMAC from a digest. Hashes the two padded keys of RFC 2104 once, so that a code costs two blocks instead of four.
struct DigestHMAC: ~Copyable, MessageAuthentication {
  private let algorithm: HashAlgorithm

  // The contexts of inner pad, outer pad and current hash, then a padded block each for moving factor and inner hash.
  private let memory: SecretBuffer

  // SAFETY: this accesses no memory.
  private static var factorOffset: Int { unsafe 3 &* DigestContext.size }
  private static var hashOffset: Int { factorOffset &+ HashAlgorithm.longestBlock }
  private static var size: Int { hashOffset &+ HashAlgorithm.longestBlock }

  static func prepareLibrary() {}

  init?(key: Span<UInt8>, algorithm: HashAlgorithm) {
    guard let memory = SecretBuffer(capacity: Self.size) else { return nil }
    self.algorithm = algorithm
    self.memory = memory
    // SAFETY: the memory has all parts.
    unsafe self.memory.withMemory { base in
      unsafe Self.preparePads(in: base, key: key, algorithm: algorithm)
      unsafe Self.pad(base + Self.factorOffset, behind: MemoryLayout<UInt64>.size, algorithm)
      unsafe Self.pad(base + Self.hashOffset, behind: algorithm.digestLength, algorithm)
    }
  }

  private static func preparePads(in base: UnsafeMutableRawPointer, key: Span<UInt8>, algorithm: HashAlgorithm) {
    // SAFETY: the memory has all parts, all zero; the copied key and its digest fit into a block.
    let block = unsafe base + factorOffset
    let inner = unsafe DigestContext(algorithm: algorithm, memory: base)
    let outer = unsafe DigestContext(algorithm: algorithm, memory: base + DigestContext.size)
    unsafe key.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return }
      if bytes.count > algorithm.blockLength {
        // RFC 2104 section 2: a key longer than a block is replaced by its hash.
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

  private static func apply(_ pad: UInt64, to block: UnsafeMutableRawPointer, _ algorithm: HashAlgorithm) {
    var offset = 0
    while offset < algorithm.blockLength {
      // SAFETY: block lengths are multiples of eight.
      let word = unsafe block.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      unsafe block.storeBytes(of: word ^ pad, toByteOffset: offset, as: UInt64.self)
      offset &+= 8
    }
  }

  /// Pads a block of zeros for a message of `length` bytes after a block of padded key (FIPS 180-4 section 5.1).
  private static func pad(_ block: UnsafeMutableRawPointer, behind length: Int, _ algorithm: HashAlgorithm) {
    // SAFETY: the message, the bit and the length fit into a block.
    unsafe block.storeBytes(of: 0x80, toByteOffset: length, as: UInt8.self)
    let bits = UInt64(truncatingIfNeeded: 8 &* (algorithm.blockLength &+ length))
    unsafe block.storeBytes(of: bits.bigEndian, toByteOffset: algorithm.blockLength &- 8, as: UInt64.self)
  }

  @inline(never)
  borrowing func truncatedValue(at movingFactor: UInt64) -> UInt32? {
    let algorithm = algorithm
    // SAFETY: the memory has all parts.
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

/// A hash in progress, in the caller's memory. Only this type calls OpenSSL's digests.
///
/// Most messages have one or two blocks, which are hashed directly, without OpenSSL's buffering. These functions of
/// OpenSSL cannot fail (SHA256_Init(3)).
@unsafe  // SAFETY: the memory outlives the context.
private struct DigestContext {
  static var size: Int { MemoryLayout<SHA512_CTX>.size }

  let algorithm: HashAlgorithm

  // SAFETY: the caller's memory fits a context and outlives this value.
  let memory: UnsafeMutableRawPointer

  func start() {
    // SAFETY: the memory holds this algorithm's context.
    switch unsafe algorithm {
    case .sha1: _ = unsafe SHA1_Init(memory.assumingMemoryBound(to: SHA_CTX.self))
    case .sha256: _ = unsafe SHA256_Init(memory.assumingMemoryBound(to: SHA256_CTX.self))
    case .sha512: _ = unsafe SHA512_Init(memory.assumingMemoryBound(to: SHA512_CTX.self))
    }
  }

  /// Hashes a block. The caller pads the last one.
  func add(block: UnsafeRawPointer) {
    // SAFETY: the memory holds this algorithm's context, and `block` is a whole block.
    let bytes = unsafe block.assumingMemoryBound(to: UInt8.self)
    switch unsafe algorithm {
    case .sha1: unsafe SHA1_Transform(memory.assumingMemoryBound(to: SHA_CTX.self), bytes)
    case .sha256: unsafe SHA256_Transform(memory.assumingMemoryBound(to: SHA256_CTX.self), bytes)
    case .sha512: unsafe SHA512_Transform(memory.assumingMemoryBound(to: SHA512_CTX.self), bytes)
    }
  }

  /// Writes the hash of a whole message. Call ``start()`` before the next use.
  func hash(_ bytes: UnsafeRawPointer, count: Int, into digest: UnsafeMutableRawPointer) {
    // SAFETY: the memory holds this algorithm's context; `bytes` has `count` bytes, and `digest` room for a hash.
    let output = unsafe digest.assumingMemoryBound(to: UInt8.self)
    unsafe start()
    switch unsafe algorithm {
    case .sha1:
      let context = unsafe memory.assumingMemoryBound(to: SHA_CTX.self)
      _ = unsafe SHA1_Update(context, bytes, count)
      _ = unsafe SHA1_Final(output, context)
    case .sha256:
      let context = unsafe memory.assumingMemoryBound(to: SHA256_CTX.self)
      _ = unsafe SHA256_Update(context, bytes, count)
      _ = unsafe SHA256_Final(output, context)
    case .sha512:
      let context = unsafe memory.assumingMemoryBound(to: SHA512_CTX.self)
      _ = unsafe SHA512_Update(context, bytes, count)
      _ = unsafe SHA512_Final(output, context)
    }
  }

  /// Continues from `other`, which is at the end of a block: its state is then only the hash words.
  func copy(from other: DigestContext) {
    // SAFETY: both contexts start with the hash words.
    unsafe memory.copyMemory(from: other.memory, byteCount: HashAlgorithm.longestDigest)
  }

  /// Writes the hash after the last block: the hash words in big-endian order (FIPS 180-4 section 6).
  func finish(into digest: UnsafeMutableRawPointer) {
    // SAFETY: the context starts with the hash words, and `digest` has room for a hash.
    var offset = 0
    switch unsafe algorithm {
    case .sha1, .sha256:
      while unsafe offset < algorithm.digestLength {
        let word = unsafe memory.load(fromByteOffset: offset, as: UInt32.self)
        unsafe digest.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt32.self)
        offset &+= 4
      }
    case .sha512:
      while unsafe offset < algorithm.digestLength {
        let word = unsafe memory.load(fromByteOffset: offset, as: UInt64.self)
        unsafe digest.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt64.self)
        offset &+= 8
      }
    }
  }
}
