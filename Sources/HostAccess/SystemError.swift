import Glibc
package import SystemFiles

/// ``Errno`` in the setup command.
package typealias SystemError = Errno

extension Errno {
  /// strerror(3), with a lower-case start.
  package var text: String {
    // SAFETY: strerror(3) returns a NUL-terminated string, which is copied before the next call.
    guard let words = unsafe strerror(rawValue) else { return "error \(rawValue)" }
    let text = unsafe String(cString: words)
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
