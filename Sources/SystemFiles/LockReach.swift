internal import CSystem
public import FixedMemory

/// Whether the lock of an open file (fcntl(2)) excludes processes on other hosts that open the same file, and whether
/// they then read each other's changes.
public enum LockReach: UInt8, Sendable {
  /// On a network or cluster file system, which passes locks on.
  case allHosts

  /// On a disk of this host. The locks reach the clients to which the kernel of this host exports the file system.
  case diskOfThisHost

  // Locks do not exclude other hosts, or it is unknown whether they do:
  case unsafeNFS
  case unsafeCIFS
  case unsafeLustre
  case unsafeCluster
  case plan9OrFUSE
  case unknownFileSystem

  /// The file system or its mount could not be examined, for example without /proc.
  case unexamined

  /// Names a file system that several hosts must not use; nil if they may.
  public var unsafeFileSystem: Literal? {
    switch self {
    case .allHosts, .diskOfThisHost: nil
    case .unsafeNFS: "NFS with nolock, local_lock or nocto"
    case .unsafeCIFS: "CIFS with nobrl, or without cache=strict"
    case .unsafeLustre: "Lustre without flock"
    case .unsafeCluster: "GFS2 or OCFS2 with local locks"
    case .plan9OrFUSE: "9p or FUSE"
    case .unknownFileSystem: "unknown file system"
    case .unexamined: "unknown mount"
    }
  }

  /// Examines the file system (fstatfs(2)) and, unless it is on a block device, its mount. `device` is that of the
  /// file's status.
  @inline(never)
  public init(of file: borrowing OpenFile, device: UInt64) {
    var system = statfs()
    var mount = csystem_mount()
    // SAFETY: the structure outlives the call.
    guard unsafe fstatfs(file.descriptor, &system) == 0 else {
      self = .unexamined
      return
    }
    let type = UInt32(truncatingIfNeeded: system.f_type)
    let isDisk = Self.isDisk(type)
    // 9p reports the type of the server's file system, but has no device.
    if isDisk, gnu_dev_major(dev_t(device)) != 0 {
      self = .diskOfThisHost
    } else if unsafe csystem_find_mount(file.descriptor, dev_t(device), &mount) > 0 {  // SAFETY: as above.
      self.init(type: type, isDisk: isDisk, properties: Int(mount.properties))
    } else {
      self = .unexamined
    }
  }

  /// Numbers from linux/magic.h unless noted.
  static func isDisk(_ type: UInt32) -> Bool {
    switch type {
    case 0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010: true  // ext2 to ext4, XFS, Btrfs, F2FS
    case 0x0102_1994, 0x794c_7630: true  // tmpfs, overlay
    case 0x2fc1_2fc1: true  // ZFS_SUPER_MAGIC (OpenZFS, sys/fs/zfs.h)
    default: false
    }
  }

  /// `type` is that of fstatfs(2); `properties` are those of `csystem_mount`.
  init(type: UInt32, isDisk: Bool, properties: Int) {
    let rule: (needed: Int, forbidden: Int, problem: LockReach)
    switch type {
    // fs/nfs/super.c, nfs_show_mount_options(). NFSv4 ignores `nolock` and `local_lock`, and shows neither.
    // Open-file-description locks are locks of fcntl(2), so `local_lock=flock` does not affect them (fs/nfs/file.c).
    // With `nocto`, an opened credential can be outdated (nfs(5)).
    case 0x6969: rule = (CSYSTEM_REMOTE_LOCK, CSYSTEM_NO_LOCK | CSYSTEM_NO_CONSISTENCY, .unsafeNFS)
    // SMB 1, and SMB 2 and 3: fs/smb/client/cifsfs.c, cifs_show_options(). Only `cache=strict` and `none` read each
    // change by other hosts (mount.cifs(8)).
    case 0xff53_4d42, 0xfe53_4d42: rule = (CSYSTEM_STRICT_CACHE, CSYSTEM_NO_BYTE_RANGES, .unsafeCIFS)
    // LL_SUPER_MAGIC (Lustre, lustre_user.h). lustre/llite/llite_lib.c, ll_show_options(): one of `flock`, `localflock`
    // and `noflock`.
    case 0x0bd0_0bd0: rule = (CSYSTEM_CLUSTER_LOCK, CSYSTEM_NO_LOCK, .unsafeLustre)
    // GFS2_MAGIC (linux/gfs2_ondisk.h). fs/gfs2/super.c, gfs2_show_options(); `lock_nolock` implies `localflocks`
    // (fs/gfs2/ops_fstype.c).
    case 0x0116_1970: rule = (0, CSYSTEM_LOCAL_LOCK, .unsafeCluster)
    // OCFS2. fs/ocfs2/inode.c, ocfs2_populate_inode(): the stack o2cb does not pass locks of fcntl(2) on.
    case 0x7461_636f: rule = (CSYSTEM_PACEMAKER, CSYSTEM_LOCAL_LOCK, .unsafeCluster)
    // Ceph: no mount option keeps its locks on one host (fs/ceph/locks.c).
    case 0x00c3_6400: rule = (0, 0, .plan9OrFUSE)
    default:
      // GPFS (IBM Storage Scale) is unknown: IBM's documentation of fcntl excludes open-file-description locks.
      // The kernel does not report whether a server of 9p or a daemon of FUSE passes locks on. virtiofs is no FUSE in
      // mountinfo.
      let isForeign = type == 0x6573_5546 || properties & CSYSTEM_PLAN9 != 0
      self = isForeign ? .plan9OrFUSE : isDisk ? .diskOfThisHost : .unknownFileSystem
      return
    }
    let isRight = properties & (rule.forbidden | CSYSTEM_PLAN9) == 0 && properties & rule.needed == rule.needed
    self = isRight ? .allHosts : rule.problem
  }
}
