import Glibc
import HostAccess
import SystemFiles

/// A file descriptor to write text to. Every failure is reported: the user must see what they have to keep.
struct OutputStream {
  let descriptor: Int32

  static let standardOutput = OutputStream(descriptor: STDOUT_FILENO)
  static let standardError = OutputStream(descriptor: STDERR_FILENO)

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// - Throws: ``SetupError`` with ``ExitStatus/inputOutput``.
  func write(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      // SAFETY: the pointer is used within the closure, with its own count.
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if Errno.current != .interrupted {
        throw failure
      }
    }
  }

  /// Flushes a file to the disk, so that a full disk is noticed.
  func flush() throws {
    // fsync(2) fails with EINVAL, EROFS or ENOTSUP for a terminal, a pipe or a device.
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

  /// Opens /dev/null, in the wrong mode, for each closed standard descriptor: the next file that is opened would receive the
  /// output.
  static func reserveStandardDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // SAFETY: the path is a C string for the time of the call.
      _ = unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
