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
    if descriptor == STDERR_FILENO, isTerminal { Self.standardOutput.waitForReader() }
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

  /// Waits until a program that reads this pipe has shown its text, so that text on standard error follows it.
  private func waitForReader() {
    var status = stat()
    // SAFETY: fstat(2) writes one structure.
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return }
    var unread: Int32 = 0
    for _ in 0..<200 {
      // SAFETY: the kernel writes one number (pipe(7)).
      guard unsafe ioctl(descriptor, UInt(FIONREAD), &unread) == 0, unread > 0 else { break }
      usleep(5_000)
    }
    // The reader has read the text, but may not have written it yet.
    usleep(30_000)
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
