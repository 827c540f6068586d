internal import COpenSSL

/// A hash under way, in memory that somebody else owns and wipes: the one place that calls OpenSSL's digests.
///
/// What is hashed here is one block of the digest or two, so most of it is done block by block, without the buffer that
/// OpenSSL keeps for messages that come in pieces. All functions of OpenSSL used here cannot fail: they return 1 always,
/// or nothing (SHA256_Init(3)).
@unsafe
struct DigestContext {
  /// Room enough for the context of any algorithm.
  static var size: Int { MemoryLayout<SHA512_CTX>.size }

  /// Chooses the code that is fastest on this processor.
  static func prepare() { copenssl_look_at_processor() }

  let algorithm: HashAlgorithm
  let memory: UnsafeMutableRawPointer

  func start() {
    switch unsafe algorithm {
    case .sha1: _ = unsafe SHA1_Init(memory.assumingMemoryBound(to: SHA_CTX.self))
    case .sha256: _ = unsafe SHA256_Init(memory.assumingMemoryBound(to: SHA256_CTX.self))
    case .sha512: _ = unsafe SHA512_Init(memory.assumingMemoryBound(to: SHA512_CTX.self))
    }
  }

  /// Hashes a block of ``HashAlgorithm/blockLength`` bytes more. The caller pads the last one (FIPS 180-4 section 5.1).
  func add(block: UnsafeRawPointer) {
    let bytes = unsafe block.assumingMemoryBound(to: UInt8.self)
    switch unsafe algorithm {
    case .sha1: unsafe SHA1_Transform(memory.assumingMemoryBound(to: SHA_CTX.self), bytes)
    case .sha256: unsafe SHA256_Transform(memory.assumingMemoryBound(to: SHA256_CTX.self), bytes)
    case .sha512: unsafe SHA512_Transform(memory.assumingMemoryBound(to: SHA512_CTX.self), bytes)
    }
  }

  /// Writes the hash of all of a text, ``HashAlgorithm/digestLength`` bytes, and is of no use any more.
  func hash(_ bytes: UnsafeRawPointer, count: Int, into digest: UnsafeMutableRawPointer) {
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

  /// Goes on from where `other` is, at the end of a block. Every context of OpenSSL begins with the words that a hash
  /// has then.
  func copy(from other: DigestContext) {
    unsafe memory.copyMemory(from: other.memory, byteCount: HashAlgorithm.longestDigest)
  }

  /// Writes the hash after the last block: its words in big-endian order (FIPS 180-4 section 6).
  func finish(into digest: UnsafeMutableRawPointer) {
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
