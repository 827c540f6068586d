import FixedMemory
import Glibc
import HostAccess

/// The kernel's secure random bytes (getentropy(3)). OpenSSL's generator takes a millisecond to start.
enum Randomness {
  /// At most 256 bytes.
  static func bytes(count: Int) throws -> SecretBuffer {
    let failure = SetupError(.inputOutput, "the random number generator failed")
    guard var buffer = SecretBuffer(capacity: count) else { throw failure }
    // SAFETY: getentropy(3) writes `room.count` bytes.
    let filled = unsafe buffer.fill { room in
      guard let start = room.baseAddress else { return -1 }
      return unsafe getentropy(start, room.count) == 0 ? room.count : -1
    }
    guard filled == count else { throw failure }
    return buffer
  }
}
