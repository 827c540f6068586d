import CSystem
import Testing

@testable import SystemFiles

/// Lines of /proc/self/mountinfo as kernels print them, for the file systems that other hosts may use.
private enum Line {
  static let nfs4 =
    "rw,vers=4.2,rsize=524288,wsize=524288,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,"
    + "clientaddr=192.0.2.132,local_lock=none,addr=192.0.2.133"
  static let nfs3 =
    "rw,vers=3,rsize=524288,wsize=524288,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,mountaddr=192.0.2.52,"
    + "mountvers=3,mountport=55625,mountproto=udp,local_lock=none,addr=192.0.2.52"
  static let cifs =
    "rw,vers=3.1.1,cache=strict,username=home,uid=0,forceuid,gid=0,forcegid,addr=192.0.2.136,file_mode=0777,"
    + "dir_mode=0777,soft,persistenthandles,nounix,serverino,mapposix,mfsymlinks,rsize=1048576,wsize=1048576,"
    + "bsize=1048576,echo_interval=60,actimeo=30"
  static let lustre = "rw,checksum,flock,nouser_xattr,lruresize,lazystatfs,nouser_fid2path,verbose,noencrypt"
  static let gfs2 = "rw,debug,quota=on"
  static let ocfs2 =
    "rw,_netdev,heartbeat=none,nointr,data=ordered,errors=remount-ro,atime_quantum=60,coherency=full,"
    + "cluster_stack=pcmk,user_xattr,acl"
}

@Suite struct LockReachTests {
  private static let nfs: UInt32 = 0x6969
  private static let cifs: UInt32 = 0xff53_4d42
  private static let smb2: UInt32 = 0xfe53_4d42
  private static let lustre: UInt32 = 0x0bd0_0bd0
  private static let gfs2: UInt32 = 0x0116_1970
  private static let ocfs2: UInt32 = 0x7461_636f

  /// The reach on a mount of a file-system type, as fstatfs(2) and mountinfo report it.
  private func reach(_ type: UInt32, _ name: String, _ options: String) throws -> LockReach {
    let list =
      "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,nolock,localflocks\n"
      + "97 22 0:53 / /home rw,nosuid,relatime shared:79 master:3 - \(name) srv.example.org:/home \(options)\n"
      + "98 22 0:54 / /mnt rw,relatime - nfs4 srv.example.org:/mnt rw,nolock,local_lock=all\n"
    let found = properties(of: csystem_mount(97), in: list)
    return try LockReach(type: type, isDisk: LockReach.isDisk(type), properties: #require(found))
  }

  @Test func networkFileSystemsWithTheirDefaultsReachAllHosts() throws {
    #expect(try reach(Self.nfs, "nfs4", Line.nfs4) == .allHosts)
    #expect(try reach(Self.nfs, "nfs", Line.nfs3) == .allHosts)
    #expect(try reach(Self.cifs, "cifs", Line.cifs) == .allHosts)
    #expect(try reach(Self.smb2, "smb3", Line.cifs) == .allHosts)
    #expect(try reach(Self.lustre, "lustre", Line.lustre) == .allHosts)
    #expect(try reach(Self.gfs2, "gfs2", Line.gfs2) == .allHosts)
    #expect(try reach(Self.ocfs2, "ocfs2", Line.ocfs2) == .allHosts)
    #expect(try reach(0x00c3_6400, "ceph", "rw,name=home,secret=<hidden>,acl,wsize=16777216") == .allHosts)
    #expect(try reach(0x4750_4653, "gpfs", "rw,relatime") == .unknownFileSystem)
  }

  @Test func localLocksOfNFSAreRefused() throws {
    for (options, reached): (String, LockReach) in [
      ("local_lock=flock", .allHosts), ("local_lock=posix", .unsafeNFS), ("local_lock=all", .unsafeNFS),
      ("nolock,local_lock=all", .unsafeNFS), ("nocto,local_lock=none", .unsafeNFS),
      ("noac,lookupcache=none,local_lock=none", .allHosts), ("local_lock=something", .unsafeNFS),
      ("addr=192.0.2.1", .unsafeNFS), ("local_lock=nonexistent-and-too-long", .unsafeNFS),
    ] {
      let result = try reach(Self.nfs, "nfs", Line.nfs3.replacing("local_lock=none", with: options))
      #expect(result == reached, "\(options)")
    }
  }

  @Test func localLocksOfOtherFileSystemsAreRefused() throws {
    for (type, name, options, reached): (UInt32, String, String, LockReach) in [
      (Self.smb2, "cifs", Line.cifs + ",nobrl", .unsafeCIFS),
      (Self.smb2, "cifs", Line.cifs.replacing("=strict", with: "=loose"), .unsafeCIFS),
      (Self.smb2, "cifs", Line.cifs.replacing("=strict", with: "=singleclient"), .unsafeCIFS),
      (Self.lustre, "lustre", Line.lustre.replacing("flock", with: "localflock"), .unsafeLustre),
      (Self.lustre, "lustre", Line.lustre.replacing("flock", with: "noflock"), .unsafeLustre),
      (Self.lustre, "lustre", "rwnolock,checksum,flock", .unsafeLustre),
      (Self.gfs2, "gfs2", Line.gfs2 + ",localflocks", .unsafeCluster),
      (Self.ocfs2, "ocfs2", Line.ocfs2 + ",localflocks", .unsafeCluster),
      (Self.ocfs2, "ocfs2", Line.ocfs2.replacing("pcmk", with: "o2cb"), .unsafeCluster),
      (0x6573_5546, "fuse.sshfs", "rw,user_id=0,group_id=0,allow_other", .plan9OrFUSE),
      (0x6573_5546, "virtiofs", "rw", .plan9OrFUSE),
      (0x0102_1997, "9p", "rw,access=client,trans=virtio", .plan9OrFUSE),
      // 9p reports the type of the server's file system.
      (0xef53, "9p", "rw,access=client,trans=virtio", .plan9OrFUSE),
      (Self.nfs, "9p", "rw,local_lock=none", .unsafeNFS),
    ] {
      #expect(try reach(type, name, options) == reached, "\(name) \(options)")
    }
  }

  @Test func aDiskOfThisHostIsRecognized() throws {
    #expect(try reach(0x9123_683e, "btrfs", "rw,ssd,space_cache=v2,subvolid=257,subvol=/@home") == .diskOfThisHost)
    #expect(try reach(0x0102_1994, "tmpfs", "rw,size=409600k,mode=755,inode64") == .diskOfThisHost)
    #expect(try reach(0x794c_7630, "overlay", "rw,lowerdir=/l,upperdir=/u,workdir=/w") == .diskOfThisHost)
    #expect(try reach(0x9fa0, "proc", "rw") == .unknownFileSystem)
    #expect(try reach(0x4d44, "vfat", "rw") == .unknownFileSystem)
  }

  @Test func theFileSystemOfAnOpenFileIsExamined() throws {
    let proc = try unsafe OpenFile.following("/proc/self/mountinfo", for: .read)
    #expect(try LockReach(of: proc, device: proc.status().device) == .unknownFileSystem)
    let memory = try unsafe OpenFile.following("/dev/shm", for: .traversal)
    #expect(try LockReach(of: memory, device: memory.status().device) == .diskOfThisHost)
  }

  // MARK: mountinfo

  /// The properties of a mount; nil if it is not in the list. `blocks`: the size of the parts that are parsed.
  private func properties(of mount: csystem_mount, in text: String, blocks: Int = 4096) -> Int? {
    var mount = mount
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: blocks) {
      let part = bytes[start..<min(start + blocks, bytes.count)]
      // SAFETY: the parser gets the size of the part.
      let isFound = unsafe part.withUnsafeBytes {
        unsafe csystem_read_mounts(&mount, $0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count)
      }
      if isFound == 1 { return Int(mount.properties) }
    }
    return nil
  }

  @Test func mountsAreFoundByDeviceBeforeLinux5_8() {
    let list =
      "29 1 0:26 / / rw - nfs4 a:/ rw,local_lock=none\n"
      + "30 1 0:260 / /a rw - fuse.sshfs a:/ rw\n31 1 8:17 / /b rw - 9p b rw\n"
    // makedev(3): the minor number is in two parts.
    for (device, expected): (UInt, Int?) in [
      (0x1a, CSYSTEM_REMOTE_LOCK), (0x10_0004, CSYSTEM_FUSE), (0x811, CSYSTEM_PLAN9), (0x11, nil), (0x812, nil),
    ] {
      #expect(properties(of: csystem_mount(device: device), in: list) == expected, "\(device)")
    }
  }

  @Test func linesOfAnyLengthAreRead() {
    let long = String(repeating: "x", count: 100_000)
    let list =
      "7 1 0:1 / /a,b rw,nolock - nfs - rw,\(long),nocto\n"
      + "8 1 0:2 /\(long) /\\040-\\040 rw shared:1 master:2 propagate_from:3 unbindable - fuse.\(long) \(long),flock "
      + "rw,\(long)local_lock=none,local_lock=none\(long),nobrl\n"
    for blocks in [1, 2, 7, 1024, 1_000_000] {
      #expect(properties(of: csystem_mount(7), in: list, blocks: blocks) == CSYSTEM_NO_CONSISTENCY)
      #expect(properties(of: csystem_mount(8), in: list, blocks: blocks) == CSYSTEM_FUSE | CSYSTEM_NO_BYTE_RANGES)
    }
  }

  @Test func incompleteAndInvalidLinesMatchNothing() {
    for text in [
      "", "\n", "7", "7 1 0:1 / / rw - nfs a rw", "7\n", "7 1 0:1 / / rw\n", "7 1 0:1 / / rw -\n",
      "7 1 0:1 / / rw - nfs\n", "70 1 0:7 / /7 7 - nfs 7 7\n", "8 1 0:7 / / rw - 7 7 7\n",
    ] {
      #expect(properties(of: csystem_mount(7), in: text) == nil, "\(text)")
    }
  }
}

extension csystem_mount {
  fileprivate init(_ id: UInt64) {
    self.init()
    self.id = id
    has_id = 1
  }

  fileprivate init(device: UInt) {
    self.init()
    self.device = device
  }
}
