internal import CSystem
public import FixedMemory

/// An open file or directory, which `deinit` closes.
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

    /// To read and flush the entries of a directory.
    case directory

    /// To open entries of a directory, which may be unreadable (O_PATH).
    case traversal

    /// To examine a file, which may be unreadable (O_PATH).
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

  private static func open(
    _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, permissions: mode_t = 0
  ) throws(Errno) -> OpenFile {
    // O_NONBLOCK: do not wait for the other end of a FIFO.
    // SAFETY: every caller's path is NUL-terminated and outlives the call.
    let descriptor = unsafe csystem_openat(directory, path, flags | O_NONBLOCK, permissions)
    guard descriptor >= 0 else { throw .current }
    return OpenFile(owning: descriptor)
  }

  /// Opens a NUL-terminated path, and follows all symlinks.
  public static func following(_ path: UnsafePointer<CChar>, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the caller's path is NUL-terminated.
    try unsafe open(AT_FDCWD, path, purpose.flags)
  }

  /// Opens an entry that is no symlink.
  public borrowing func open(_ name: Literal, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    try unsafe Self.open(descriptor, name.cString, purpose.flags | O_NOFOLLOW)
  }

  /// Opens an entry of this directory, following symlinks.
  public borrowing func open(following name: Literal, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    try unsafe Self.open(descriptor, name.cString, purpose.flags)
  }

  /// Opens an entry of this directory, following symlinks.
  public borrowing func open(following name: borrowing ByteText, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the text is NUL-terminated.
    try unsafe name.withCString { name throws(Errno) in try unsafe Self.open(descriptor, name, purpose.flags) }
  }

  /// Opens an entry that is no symlink.
  public borrowing func open(_ name: borrowing ByteText, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the text is NUL-terminated.
    try unsafe name.withCString { name throws(Errno) in
      try unsafe Self.open(descriptor, name, purpose.flags | O_NOFOLLOW)
    }
  }

  /// Opens an entry that is no symlink.
  public borrowing func openUnlessFUSE(_ name: Literal, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    try unsafe Self.openUnlessFUSE(descriptor, name.cString, purpose)
  }

  /// Opens an entry that is no symlink.
  public borrowing func openUnlessFUSE(_ name: borrowing ByteText, for purpose: Purpose) throws(Errno) -> OpenFile {
    // SAFETY: the text is NUL-terminated.
    try unsafe name.withCString { name throws(Errno) in try unsafe Self.openUnlessFUSE(descriptor, name, purpose) }
  }

  private static func openUnlessFUSE(
    _ directory: Int32, _ name: UnsafePointer<CChar>, _ purpose: Purpose
  ) throws(Errno) -> OpenFile {
    let flags = purpose.flags | O_NOFOLLOW
    // SAFETY: both callers pass a NUL-terminated name that outlives the call.
    let descriptor = unsafe csystem_open_on_mount(directory, name, flags | O_NONBLOCK)
    guard descriptor < 0 else { return OpenFile(owning: descriptor) }
    let error = Errno.current
    guard error == .crossesMount else { throw error }
    let root = try unsafe open(directory, name, Purpose.status.flags | O_NOFOLLOW)
    var mount = csystem_mount()
    // SAFETY: the structure outlives the call.
    guard unsafe csystem_find_mount(root.descriptor, 0, &mount) >= 0 else { throw .current }
    guard mount.properties & UInt32(CSYSTEM_FUSE) == 0 else { throw .crossesMount }
    return try unsafe open(directory, name, flags)
  }

  /// Creates a file with these permissions whatever the umask. Fails if the name exists.
  public borrowing func create(
    _ name: Literal, for purpose: Purpose, permissions: UInt32
  ) throws(Errno) -> OpenFile {
    // SAFETY: a literal is NUL-terminated.
    let file = try unsafe Self.open(
      descriptor, name.cString, purpose.flags | O_NOFOLLOW | O_CREAT | O_EXCL, permissions: permissions)
    try file.setPermissions(permissions)
    return file
  }

  /// Creates a file with these permissions whatever the umask. Fails if the name exists.
  public borrowing func create(
    _ name: borrowing ByteText, for purpose: Purpose, permissions: UInt32
  ) throws(Errno) -> OpenFile {
    // SAFETY: the text is NUL-terminated.
    let file = try unsafe name.withCString { name throws(Errno) in
      try unsafe Self.open(
        descriptor, name, purpose.flags | O_NOFOLLOW | O_CREAT | O_EXCL, permissions: permissions)
    }
    try file.setPermissions(permissions)
    return file
  }

  /// Examines the file (fstat(2)).
  @inline(never)
  public borrowing func status() throws(Errno) -> FileStatus {
    var status = stat()
    // SAFETY: the structure outlives the call.
    guard unsafe fstat(descriptor, &status) == 0 else { throw .current }
    return FileStatus(status)
  }

  /// Reads from the start until the buffer is full or the file ends (pread(2)).
  public borrowing func read(into buffer: inout SecretBuffer) throws(Errno) {
    // SAFETY: pread(2) gets the size of the memory.
    let count = unsafe buffer.fill { free in
      guard let start = free.baseAddress else { return 0 }
      var done = 0
      while done < free.count {
        let count = unsafe pread(descriptor, start + done, free.count &- done, done)
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

  /// Writes all bytes (pwrite(2)).
  public borrowing func write(_ bytes: Span<UInt8>, at offset: Int) throws(Errno) {
    var done = 0
    while done < bytes.count {
      // SAFETY: pwrite(2) gets the count of the bytes.
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

  /// Whether RLIMIT_FSIZE allows files of `byteCount` bytes (getrlimit(2)).
  public static func mayWrite(byteCount: Int) -> Bool { csystem_may_write(rlim_t(byteCount)) != 0 }

  /// Flushes the content (fdatasync(2)).
  public borrowing func flush() throws(Errno) {
    while fdatasync(descriptor) != 0 {
      guard csystem_errno() == EINTR else { throw .current }
    }
  }

  /// Flushes content and metadata, or the entries of a directory (fsync(2)).
  public borrowing func synchronize() throws(Errno) {
    guard fsync(descriptor) == 0 else { throw .current }
  }

  /// Flushes the file system of the file (syncfs(2)).
  public borrowing func synchronizeFileSystem() throws(Errno) {
    guard csystem_syncfs(descriptor) == 0 else { throw .current }
  }

  /// Truncates or extends the file (ftruncate(2)).
  public borrowing func resize(to length: Int) throws(Errno) {
    guard ftruncate(descriptor, length) == 0 else { throw .current }
  }

  /// Sets the permission bits (fchmod(2)).
  public borrowing func setPermissions(_ permissions: UInt32) throws(Errno) {
    guard fchmod(descriptor, permissions) == 0 else { throw .current }
  }

  /// Sets the owner, but not the group (fchown(2)).
  public borrowing func setOwner(_ owner: UserID) throws(Errno) {
    guard fchown(descriptor, owner.rawValue, GroupID.invalid.rawValue) == 0 else { throw .current }
  }

  /// Lets writes to this empty file overwrite its blocks later, without room on a full disk. Does nothing on a file
  /// system without copy-on-write.
  public borrowing func disableCopyOnWrite() { csystem_disable_copy_on_write(descriptor) }

  /// Whether writes to this file need room on a full disk, because btrfs copies its blocks.
  public var copiesOnWrite: Bool { csystem_copies_on_write(descriptor) != 0 }

  /// Acquires an exclusive open-file-description lock (fcntl(2)). Throws ``Errno/wouldBlock`` if another holds it.
  public borrowing func tryLock() throws(Errno) {
    guard csystem_try_lock(descriptor) == 0 else { throw .current }
  }

  /// Releases the lock.
  public borrowing func unlock() { _ = csystem_unlock(descriptor) }
}

/// Directories.
extension OpenFile {
  /// Examines an entry without following a symlink (fstatat(2)).
  public borrowing func status(of name: borrowing ByteText) throws(Errno) -> FileStatus {
    var status = stat()
    // SAFETY: the text is NUL-terminated.
    let result = unsafe name.withCString { unsafe fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
    guard result == 0 else { throw .current }
    return FileStatus(status)
  }

  /// Whether fscrypt encrypts the directory and its key is absent, so that lookups of existing names fail.
  public borrowing func hidesNames() throws(Errno) -> Bool {
    let result = csystem_hides_names(descriptor)
    guard result >= 0 else { throw .current }
    return result > 0
  }

  /// Creates a subdirectory (mkdirat(2)).
  public borrowing func makeDirectory(_ name: borrowing ByteText, permissions: UInt32) throws(Errno) {
    // SAFETY: the text is NUL-terminated.
    guard unsafe name.withCString({ unsafe mkdirat(descriptor, $0, permissions) }) == 0 else { throw .current }
  }

  /// Renames an entry, and replaces `target` (renameat(2)).
  public borrowing func rename(_ name: borrowing ByteText, to target: borrowing ByteText) throws(Errno) {
    // SAFETY: both texts are NUL-terminated.
    let result = unsafe name.withCString { name in
      unsafe target.withCString { unsafe renameat(descriptor, name, descriptor, $0) }
    }
    guard result == 0 else { throw .current }
  }

  /// Renames an entry, and replaces `target` (renameat(2)).
  public borrowing func rename(_ name: Literal, to target: Literal) throws(Errno) {
    // SAFETY: literals are NUL-terminated.
    guard unsafe renameat(descriptor, name.cString, descriptor, target.cString) == 0 else { throw .current }
  }

  /// Moves a file into another directory, replacing one of the same name (renameat(2)).
  public borrowing func move(_ name: Literal, into directory: borrowing OpenFile) throws(Errno) {
    // SAFETY: a literal is NUL-terminated.
    guard unsafe renameat(descriptor, name.cString, directory.descriptor, name.cString) == 0 else { throw .current }
  }

  /// Exchanges two entries of this directory (renameat2(2)). Returns false if the kernel or the file system cannot.
  public borrowing func exchange(_ name: borrowing ByteText, with other: borrowing ByteText) throws(Errno) -> Bool {
    // SAFETY: both texts are NUL-terminated.
    let result = unsafe name.withCString { name in
      unsafe other.withCString { unsafe csystem_exchange(descriptor, name, $0) }
    }
    guard result != 0 else { return true }
    switch Errno.current {
    // An overlay moves no directory of its lower layer: EXDEV.
    case .invalidArgument, .noSuchCall, .notSupported, .crossesMount: return false
    case let error: throw error
    }
  }

  /// Removes a file, if it exists (unlinkat(2)).
  public borrowing func removeFile(_ name: Literal) {
    // SAFETY: a literal is NUL-terminated.
    _ = unsafe unlinkat(descriptor, name.cString, 0)
  }

  /// Removes a file (unlinkat(2)).
  public borrowing func remove(_ name: borrowing ByteText) throws(Errno) {
    // SAFETY: the text is NUL-terminated.
    guard unsafe name.withCString({ unsafe unlinkat(descriptor, $0, 0) }) == 0 else { throw .current }
  }

  /// Removes a subdirectory, if it exists and is empty (unlinkat(2)).
  public borrowing func removeDirectory(_ name: borrowing ByteText) {
    // SAFETY: the text is NUL-terminated.
    _ = unsafe name.withCString { unsafe unlinkat(descriptor, $0, AT_REMOVEDIR) }
  }

  /// The names of entries, with `.` and `..`.
  public borrowing func names() throws(Errno) -> DirectoryNames {
    // SAFETY: a literal is NUL-terminated.
    let own = unsafe csystem_openat(descriptor, Literal(".").cString, O_RDONLY | O_DIRECTORY, 0)
    guard own >= 0 else { throw .current }
    return try DirectoryNames(owning: own)
  }
}

/// Iterates over the names in a directory (readdir(3)).
@safe
public struct DirectoryNames: ~Copyable {
  private let stream: OpaquePointer

  fileprivate init(owning descriptor: Int32) throws(Errno) {
    // SAFETY: the stream owns the descriptor until `deinit`.
    guard let stream = unsafe fdopendir(descriptor) else {
      let error = Errno.current
      _ = close(descriptor)
      throw error
    }
    unsafe self.stream = stream
  }

  // SAFETY: this is the last use of the stream.
  deinit { _ = unsafe closedir(stream) }

  /// The next name; nil at the end.
  public mutating func next() -> ByteText? {
    // SAFETY: the stream is open; the name is NUL-terminated, and copied at once.
    guard let name = unsafe csystem_next_name(stream) else { return nil }
    return unsafe ByteText(cString: name)
  }
}
