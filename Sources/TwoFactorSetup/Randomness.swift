import COpenSSL
import FixedMemory

/// Random bytes that nobody can guess, from OpenSSL's generator.
enum Randomness {
  /// New memory filled with `count` random bytes.
  ///
  /// - Throws: ``SetupError`` where the generator has no entropy.
  static func bytes(count: Int) throws -> SecretBuffer {
    let failure = SetupError(.inputOutput, "the random number generator failed")
    guard var buffer = SecretBuffer(capacity: count) else { throw failure }
    let filled = unsafe buffer.fill { room in
      let start = unsafe room.bindMemory(to: UInt8.self).baseAddress
      return unsafe RAND_bytes(start, Int32(room.count)) == 1 ? room.count : -1
    }
    guard filled == count else { throw failure }
    return buffer
  }
}
