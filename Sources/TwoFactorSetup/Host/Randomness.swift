import FixedMemory
import Glibc

/// Random bytes that nobody can guess, from the kernel's generator (getentropy(3)).
///
/// It is what OpenSSL's generator is seeded with, without the millisecond that that one takes to begin.
enum Randomness {
  /// New memory filled with random bytes.
  ///
  /// - Parameter count: How many; getentropy(3) gives 256 at most.
  /// - Returns: The bytes.
  /// - Throws: ``SetupError`` where there is no memory, or a kernel without the call.
  static func bytes(count: Int) throws -> SecretBuffer {
    let failure = SetupError(.inputOutput, "the random number generator failed")
    guard var buffer = SecretBuffer(capacity: count) else { throw failure }
    let filled = unsafe buffer.fill { room in
      guard let start = room.baseAddress else { return -1 }
      return unsafe getentropy(start, room.count) == 0 ? room.count : -1
    }
    guard filled == count else { throw failure }
    return buffer
  }
}
