internal import CSystem

/// The status of a file (stat(2)).
public struct FileStatus: BitwiseCopyable, Sendable {
  /// The owner.
  public let owner: UserID

  /// The group.
  public let group: GroupID

  /// The number of hard links.
  public let links: UInt64

  /// In bytes.
  public let size: Int64

  /// Device and inode number identify a file.
  public let device: UInt64

  /// The inode number.
  public let inode: UInt64

  /// Unix time of the last change of the content.
  public let modifiedAt: Int64

  /// File type and permission bits (inode(7)).
  public let mode: UInt32

  /// Examines a path (fstatat(2)).
  ///
  /// - Parameters:
  ///   - path: NUL-terminated.
  ///   - followsSymlink: Whether to follow a symlink in the last component.
  /// - Throws: The error of fstatat(2).
  public init(of path: UnsafePointer<CChar>, followsSymlink: Bool) throws(Errno) {
    var status = stat()
    // SAFETY: the caller's path is NUL-terminated, and the structure outlives the call.
    guard unsafe fstatat(AT_FDCWD, path, &status, followsSymlink ? 0 : AT_SYMLINK_NOFOLLOW) == 0 else {
      throw .current
    }
    self.init(status)
  }

  init(_ status: stat) {
    owner = UserID(rawValue: status.st_uid)
    group = GroupID(rawValue: status.st_gid)
    links = UInt64(truncatingIfNeeded: status.st_nlink)
    size = Int64(truncatingIfNeeded: status.st_size)
    device = UInt64(truncatingIfNeeded: status.st_dev)
    inode = UInt64(truncatingIfNeeded: status.st_ino)
    modifiedAt = Int64(truncatingIfNeeded: status.st_mtim.tv_sec)
    mode = status.st_mode
  }

  /// Whether it is a regular file.
  public var isRegularFile: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFREG) }

  /// Whether it is a directory.
  public var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }

  /// Whether entries can be removed or renamed only by their owner and the directory's.
  public var isSticky: Bool { mode & UInt32(S_ISVTX) != 0 }

  /// Whether group or others may write.
  public var isWritableByOthers: Bool { mode & 0o022 != 0 }
}
