internal import COpenSSL

/// A hash under way, in memory that somebody else owns and wipes: the one place that calls OpenSSL's digests.
///
/// All functions of OpenSSL used here cannot fail: they return 1 always (SHA256_Init(3)).
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

  /// Hashes `count` more bytes.
  func update(_ bytes: UnsafeRawPointer, count: Int) {
    switch unsafe algorithm {
    case .sha1: _ = unsafe SHA1_Update(memory.assumingMemoryBound(to: SHA_CTX.self), bytes, count)
    case .sha256: _ = unsafe SHA256_Update(memory.assumingMemoryBound(to: SHA256_CTX.self), bytes, count)
    case .sha512: _ = unsafe SHA512_Update(memory.assumingMemoryBound(to: SHA512_CTX.self), bytes, count)
    }
  }

  /// Goes on from where `other` is.
  func copy(from other: DigestContext) {
    unsafe memory.copyMemory(from: other.memory, byteCount: Self.size)
  }

  /// Writes the hash, ``HashAlgorithm/digestLength`` bytes.
  func finish(into digest: UnsafeMutablePointer<UInt8>) {
    switch unsafe algorithm {
    case .sha1: _ = unsafe SHA1_Final(digest, memory.assumingMemoryBound(to: SHA_CTX.self))
    case .sha256: _ = unsafe SHA256_Final(digest, memory.assumingMemoryBound(to: SHA256_CTX.self))
    case .sha512: _ = unsafe SHA512_Final(digest, memory.assumingMemoryBound(to: SHA512_CTX.self))
    }
  }
}
