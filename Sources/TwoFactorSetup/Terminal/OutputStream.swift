import Glibc
import HostAccess
import SystemFiles

/// Text output that reports every failure, because the user must see what to keep.
struct OutputStream {
  let descriptor: Int32

  static let standardOutput = OutputStream(descriptor: STDOUT_FILENO)
  static let standardError = OutputStream(descriptor: STDERR_FILENO)

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// - Throws: ``SetupError`` with ``ExitStatus/inputOutput``.
  func write(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      // SAFETY: the pointer is used within the closure, with its count.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if Errno.current != .interrupted {
        throw failure
      }
    }
  }

  /// Detects a full disk.
  func flush() throws {
    // For a terminal, pipe or device, fsync(2) fails with EINVAL, EROFS or ENOTSUP.
    if fsync(descriptor) != 0, errno == EIO || errno == ENOSPC || errno == EDQUOT || errno == EBADF {
      throw failure
    }
  }

  private var failure: SetupError {
    let name =
      switch descriptor {
      case STDOUT_FILENO: "standard output"
      case STDERR_FILENO: "standard error"
      default: "file"
      }
    return SetupError(.inputOutput, "cannot write to \(name): \(Errno.current.text)")
  }

  /// Opens /dev/null, in the wrong mode, for each closed standard descriptor, which would otherwise become the next
  /// opened file and receive the output.
  static func reserveStandardDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // SAFETY: the path is NUL-terminated.
      _ = unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
