internal import CSystem
internal import FixedMemory

/// An open file or directory, closed at the end of its life.
public struct OpenFile: ~Copyable {
  let descriptor: Int32

  /// Opens a path below `directory` (openat(2)) without following a link in its last part, without waiting for
  /// the other end of a FIFO, without making a terminal ours, and closed on exec.
  ///
  /// - Returns: Nil where it cannot be opened; errno(3) says why.
  static func at(_ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, mode: mode_t = 0) -> OpenFile? {
    let descriptor = unsafe csystem_openat(directory, path, flags | O_NOFOLLOW | O_NONBLOCK, mode)
    return descriptor >= 0 ? OpenFile(descriptor: descriptor) : nil
  }

  deinit { _ = close(descriptor) }

  /// What fstat(2) says; nil where it fails.
  @inline(never)
  func status() -> FileStatus? {
    unsafe withUnsafeTemporaryAllocation(of: stat.self, capacity: 1) { memory in
      guard let status = memory.baseAddress, unsafe fstat(descriptor, status) == 0 else { return nil }
      return unsafe FileStatus(status.pointee)
    }
  }

  /// Reads `count` bytes from `offset` into `buffer`, however many calls it takes (pread(2)).
  ///
  /// - Returns: How many bytes there were; -1 where reading failed.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
    var done = 0
    while done < buffer.count {
      guard let start = buffer.baseAddress else { return 0 }
      let count = unsafe pread(descriptor, start + done, buffer.count &- done, offset &+ done)
      if count == 0 { break }
      if count > 0 {
        done &+= count
      } else if csystem_errno() != EINTR {
        return -1
      }
    }
    return done
  }

  /// Writes all of `bytes` at `offset` (pwrite(2)). False where the system refuses.
  func write(_ bytes: Span<UInt8>, at offset: Int) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.slice(from: done).withUnsafeBytes { rest in
        unsafe pwrite(descriptor, rest.baseAddress, rest.count, offset &+ done)
      }
      if count > 0 {
        done &+= count
      } else if count == 0 || csystem_errno() != EINTR {
        return false
      }
    }
    return true
  }

  /// Waits until what was written is on the disk (fdatasync(2)). False where the system cannot say so.
  func flush() -> Bool {
    while fdatasync(descriptor) != 0 {
      guard csystem_errno() == EINTR else { return false }
    }
    return true
  }
}

/// What is asked of a file's status (stat(2)).
struct FileStatus {
  let owner: uid_t
  let links: UInt64
  let size: Int64
  let device: UInt64
  let inode: UInt64
  private let mode: mode_t

  init(_ status: stat) {
    owner = status.st_uid
    links = UInt64(truncatingIfNeeded: status.st_nlink)
    size = Int64(truncatingIfNeeded: status.st_size)
    device = UInt64(truncatingIfNeeded: status.st_dev)
    inode = UInt64(truncatingIfNeeded: status.st_ino)
    mode = status.st_mode
  }

  var isRegularFile: Bool { mode & mode_t(S_IFMT) == mode_t(S_IFREG) }
  var isDirectory: Bool { mode & mode_t(S_IFMT) == mode_t(S_IFDIR) }

  /// Whether the group or the world may write.
  var isWritableByOthers: Bool { mode & 0o022 != 0 }

  /// Whether only an owner may remove or rename what is in the directory.
  var isSticky: Bool { mode & mode_t(S_ISVTX) != 0 }

  /// Whether the group or the world may do anything at all.
  var isOpenToOthers: Bool { mode & 0o077 != 0 }
}
