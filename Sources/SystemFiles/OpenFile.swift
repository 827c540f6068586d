internal import CSystem
public import FixedMemory

/// An open file or directory, closed at the end of the value's lifetime. All calls are restarted on EINTR.
public struct OpenFile: ~Copyable {
  /// The file descriptor.
  public let descriptor: Int32

  /// Takes ownership of an open file descriptor.
  public init(owning descriptor: Int32) { self.descriptor = descriptor }

  deinit { _ = close(descriptor) }

  /// What a file is opened for (open(2)).
  public enum Purpose: Sendable {
    case read
    case write
    case readWrite

    /// Reading and flushing a directory.
    case directory

    /// Passing through a directory that may not be readable (O_PATH).
    case traversal

    /// Examining a file that may not be readable (O_PATH).
    case status

    fileprivate var flags: Int32 {
      switch self {
      case .read: O_RDONLY
      case .write: O_WRONLY
      case .readWrite: O_RDWR
      case .directory: O_RDONLY | O_DIRECTORY
      case .traversal: csystem_o_path | O_DIRECTORY
      case .status: csystem_o_path
      }
    }
  }

  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  private static func open(
    _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, permissions: mode_t = 0
  ) throws(Errno) -> OpenFile {
    // SAFETY: every caller passes a NUL-terminated path that outlives the call.
    let descriptor = unsafe csystem_openat(directory, path, flags | O_NONBLOCK, permissions)
    guard descriptor >= 0 else { throw .current }
    return OpenFile(owning: descriptor)
  }

  /// Opens a path, following symlinks in all its parts.
  ///
  /// - Parameters:
  ///   - path: The path, NUL-terminated.
  ///   - purpose: What it is opened for.
  public static func following(_ path: UnsafePointer<CChar>, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the caller passes a NUL-terminated path.
    try unsafe open(AT_FDCWD, path, purpose.flags)
  }

  /// Opens an entry of this directory, but not a symlink.
  public borrowing func open(_ name: Literal, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    try unsafe Self.open(descriptor, name.cString, purpose.flags | O_NOFOLLOW)
  }

  /// Opens an entry of this directory, but not a symlink.
  public borrowing func open(_ name: borrowing ByteText, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the text is NUL-terminated and lent for the call.
    try unsafe name.withCString { name throws(Errno) in
      try unsafe Self.open(descriptor, name, purpose.flags | O_NOFOLLOW)
    }
  }

  /// Creates a file in this directory; a file of that name must not exist. The umask does not apply.
  ///
  /// - Parameters:
  ///   - name: Its name.
  ///   - purpose: What it is opened for.
  ///   - permissions: Its permission bits.
  public borrowing func create(
    _ name: Literal, for purpose: Purpose, permissions: UInt32
  ) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    let file = try unsafe Self.open(
      descriptor, name.cString, purpose.flags | O_NOFOLLOW | O_CREAT | O_EXCL, permissions: permissions)
    try file.setPermissions(permissions)
    return file
  }

  /// Examines the file (fstat(2)).
  @inline(never)
  public borrowing func status() throws(Errno) -> FileStatus {
    var status = stat()
    // SAFETY: the structure lives for the call.
    guard unsafe fstat(descriptor, &status) == 0 else { throw .current }
    return FileStatus(status)
  }

  /// Examines an entry of this directory without following a symlink (fstatat(2)).
  public borrowing func status(of name: borrowing ByteText) throws(Errno) -> FileStatus {
    var status = stat()
    // SAFETY: the text is NUL-terminated and lent for the call, for which the structure lives.
    let result = unsafe name.withCString { unsafe fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
    guard result == 0 else { throw .current }
    return FileStatus(status)
  }

  /// Reads from the beginning of the file until the buffer is full or the file ends (pread(2)).
  public borrowing func read(into buffer: inout SecretBuffer) throws(Errno) {
    // SAFETY: pread(2) is told the size of the memory that is left.
    let count = unsafe buffer.fill { memory in
      guard let start = memory.baseAddress else { return 0 }
      var done = 0
      while done < memory.count {
        let count = unsafe pread(descriptor, start + done, memory.count &- done, done)
        if count == 0 { break }
        if count > 0 {
          done &+= count
        } else if csystem_errno() != EINTR {
          return -1
        }
      }
      return done
    }
    guard count >= 0 else { throw .current }
  }

  /// Writes all of `bytes` at an offset (pwrite(2)).
  public borrowing func write(_ bytes: Span<UInt8>, at offset: Int) throws(Errno) {
    var done = 0
    while done < bytes.count {
      // SAFETY: pwrite(2) is told the size of the memory that is left.
      let count = unsafe bytes.slice(from: done).withUnsafeBytes { rest in
        unsafe pwrite(descriptor, rest.baseAddress, rest.count, offset &+ done)
      }
      guard count != 0 else { throw .inputOutput }
      if count > 0 {
        done &+= count
      } else if csystem_errno() != EINTR {
        throw .current
      }
    }
  }

  /// Whether RLIMIT_FSIZE lets this process write files of so many bytes (getrlimit(2)).
  public static func mayWrite(byteCount: Int) -> Bool { csystem_may_write(rlim_t(byteCount)) != 0 }

  /// Waits until the content is on the disk (fdatasync(2)).
  public borrowing func flush() throws(Errno) {
    while fdatasync(descriptor) != 0 {
      guard csystem_errno() == EINTR else { throw .current }
    }
  }

  /// Waits until content and metadata are on the disk, or the entries of a directory (fsync(2)).
  public borrowing func synchronize() throws(Errno) {
    guard fsync(descriptor) == 0 else { throw .current }
  }

  /// Truncates or extends the file (ftruncate(2)).
  public borrowing func resize(to length: Int) throws(Errno) {
    guard ftruncate(descriptor, length) == 0 else { throw .current }
  }

  /// Sets the permission bits (fchmod(2)).
  public borrowing func setPermissions(_ permissions: UInt32) throws(Errno) {
    guard fchmod(descriptor, permissions) == 0 else { throw .current }
  }

  /// Acquires the write lock of the open file description without waiting (fcntl(2), F_OFD_SETLK).
  ///
  /// - Throws: ``Errno/wouldBlock`` if the lock is held.
  public borrowing func tryLock() throws(Errno) {
    guard csystem_try_lock(descriptor) == 0 else { throw .current }
  }

  /// Releases the lock.
  public borrowing func unlock() { _ = csystem_unlock(descriptor) }
}
