import Glibc

/// A descriptor that text is written to, with every failure noticed: what the user must keep counts as shown
/// only when all of it was taken.
struct OutputStream {
  let descriptor: Int32

  static let standardOutput = OutputStream(descriptor: STDOUT_FILENO)
  static let standardError = OutputStream(descriptor: STDERR_FILENO)

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Writes all of the text.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/inputOutput``.
  func write(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if SystemError.current != .interrupted {
        throw failure("cannot write")
      }
    }
  }

  /// Brings what was written to the disk where the descriptor is a file, so that a full one is noticed now.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/inputOutput``.
  func flush() throws {
    // A terminal, a pipe and a device have nothing to flush: EINVAL, EROFS and ENOTSUP say so (fsync(2)).
    if fsync(descriptor) != 0, errno == EIO || errno == ENOSPC || errno == EDQUOT || errno == EBADF {
      throw failure("cannot write")
    }
  }

  private func failure(_ what: String) -> SetupError {
    let name =
      switch descriptor {
      case STDOUT_FILENO: "standard output"
      case STDERR_FILENO: "standard error"
      default: "file"
      }
    return SetupError(.inputOutput, "\(what) to \(name): \(SystemError.current.text)")
  }

  /// Makes sure that the three standard descriptors are open: the next file opened would take the place of a
  /// closed one and receive what was meant for the user. A closed one is replaced by a descriptor that
  /// refuses.
  static func reserveStandardDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      _ = unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
