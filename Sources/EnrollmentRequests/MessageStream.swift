internal import CSystem
public import FixedMemory
public import HelperProtocol

/// Messages on the standard descriptors of a process that serves one request.
public enum MessageStream {
  /// Reads a message from standard input, and returns it without its length. Throws the status of the answer.
  public static func read() throws(HelperStatus) -> SecretBuffer {
    guard var prefix = SecretBuffer(capacity: HelperMessage.prefixLength) else { throw .failed }
    try fill(&prefix)
    guard let length = HelperMessage.length(prefix.bytes) else { throw .malformed }
    guard var message = SecretBuffer(capacity: length) else { throw .failed }
    try fill(&message)
    return message
  }

  /// Reads standard input until the buffer is full.
  private static func fill(_ buffer: inout SecretBuffer) throws(HelperStatus) {
    while buffer.count < buffer.capacity {
      // SAFETY: read(2) gets the size of the memory.
      let count = unsafe buffer.fill { unsafe CSystem.read(0, $0.baseAddress, $0.count) }
      guard count > 0 || count < 0 && csystem_errno() == EINTR else { throw .malformed }
    }
  }

  /// Writes a message with its length to standard output. Returns false on failure.
  public static func write(_ message: borrowing SecretBuffer) -> Bool {
    let bytes = message.bytes
    var done = 0
    while done < bytes.count {
      // SAFETY: write(2) gets the count of the bytes.
      let count = unsafe bytes.slice(from: done).withUnsafeBytes { rest in
        unsafe CSystem.write(1, rest.baseAddress, rest.count)
      }
      if count > 0 {
        done &+= count
      } else if count == 0 || csystem_errno() != EINTR {
        return false
      }
    }
    return true
  }
}
