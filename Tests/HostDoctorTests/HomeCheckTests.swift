import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct HomeCheckTests {
  private static let mounts = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "23 22 8:2 / /home rw - ext4 /dev/sda2 rw",
    "30 23 0:50 / /home/alice rw,nosuid shared:9 master:1 - fuse.gocryptfs /home/.alice rw",
    "31 23 0:51 / /home/a\\040b rw - nfs4 server:/b rw",
    "32 23 0:52 / /net rw - autofs systemd-1 rw",
    "33 32 0:53 / /net/carol rw - nfs4 server:/carol rw",
    "34 23 0:54 / /home/dave rw - autofs systemd-1 rw",
    "35 34 0:55 / /home/dave rw - nfs4 server:/dave rw",
    "36 23 8:3 / /home/erin rw - ext4 /dev/sda3 rw",
    "37 23 0:56 / /home/gina rw - fuse.sshfs host: rw,user_id=4201,group_id=4201",
    "38 23 0:57 / /home/hugo rw - fuse.sshfs host: rw,user_id=4201,group_id=4201,allow_other",
    "39 23 0:58 / /home/iris rw - zfs tank/home/iris rw",
    "40 23 8:5 / /home/jo-ann rw - ext4 /dev/sda5 rw",
  ]

  private static let table = "/dev/sda3 /home/erin ext4 defaults 0 2\n/dev/sda4 /home/fred\\040x ext4 noauto,user 0 2\n"

  private func finding(home: String, _ files: [String: String] = [:], name: String = "x") throws -> Finding? {
    let host = try TemporaryHost(["/etc/fstab": Self.table].merging(files) { $1 })
    let account = TreeAccount(name: name, userID: UserID(rawValue: 4201), home: home, mayLogIn: true, groups: [])
    return host.read { HomeCheck(tree: $0, mountInfo: Self.mounts).finding(of: account) }
  }

  @Test(arguments: [("/home/alice", "fuse.gocryptfs"), ("/home/a b", "nfs4"), ("/home/hugo", "fuse.sshfs")])
  func aHomeThatMayBeMountedLaterIsFound(home: String, type: String) throws {
    let finding = try #require(try finding(home: home))
    #expect(finding.summary == "home warning")
    #expect(finding.detail == "x: \(home) is a mount of its own (\(type)): while it is not mounted, x is refused")
  }

  @Test(arguments: ["/home/bob", "/root", "/net/carol", "/home/dave", "/home/erin", "/home/fred x"])
  func aHomeThatIsPresentAtEveryLoginIsNotReported(home: String) throws {
    #expect(try finding(home: home) == nil)
  }

  @Test func aFileSystemThatOnlyItsUserCanReadIsFound() throws {
    let detail = try #require(try finding(home: "/home/gina")).detail
    #expect(
      detail.contains("(fuse.sshfs) without allow_other: while it is not mounted, or ")
        && detail.hasSuffix(" x is refused"))
  }

  @Test func zfsMountsItsDataSetsAtBoot() throws {
    #expect(try finding(home: "/home/iris") == nil)
    let key = ["/etc/pam.d/common-session": "session optional pam_zfs_key.so homes=tank/home\n"]
    #expect(try finding(home: "/home/iris", key)?.detail.contains("mounted by pam_zfs_key") == true)
  }

  @Test func anEnabledMountUnitIsMountedAtBoot() throws {
    #expect(try finding(home: "/home/jo-ann") != nil)
    let wants = "/etc/systemd/system/multi-user.target.wants/home-jo\\x2dann.mount"
    #expect(try finding(home: "/home/jo-ann", [wants: "[Mount]\n"]) == nil)
    #expect(try finding(home: "/home/jo-ann", ["/etc/systemd/system/home-jo\\x2dann.mount": "[Mount]\n"]) != nil)
    #expect(MountUnits.escaped("/home/.a b/é/") == "home-.a\\x20b-\\xc3\\xa9")
  }

  @Test(
    arguments: [
      ("/home/x", "user=\"*\" mountpoint=\"~\"", true), ("/home/x", "user='x' mountpoint='/home/%(USER)'", true),
      ("/home/x", "mountpoint=\"/home\" uid=\"1000-60000\"", true), ("/home/x", "mountpoint=\"~/private\"", false),
      ("/home/x", "uid=\"1000-2000\" mountpoint=\"~\"", false), ("/home/x", "user=\"y\"\n mountpoint=\"~\"", false),
      ("/home/x", "mountpoint=\"/ho\"", false),
    ])
  func aHomeThatPAMMountMountsIsFound(home: String, attributes: String, isFound: Bool) throws {
    let path = "/etc/security/pam_mount.conf.xml"
    let volumes =
      "<!-- <volume mountpoint=\"~\" />\n-->\n<pam_mount>\n<volume fstype=\"fuse\" \(attributes) />\n</pam_mount>\n"
    let stack = ["/etc/pam.d/login": "session optional pam_mount.so\n"]
    let finding = try finding(home: home, [path: volumes].merging(stack) { $1 })
    #expect((finding != nil) == isFound)
    if isFound { #expect(finding?.detail.contains("mounted by pam_mount (\(path), line 4) only after") == true) }
    #expect(try self.finding(home: home, [path: volumes, "/etc/pam.d/login": "# pam_mount.so\n"]) == nil)
  }

  @Test(arguments: ["/home/.ecryptfs/x/.ecryptfs", "/home/x/.ecryptfs"])
  func aHomeThatECryptfsEncryptsIsFound(folder: String) throws {
    let finding = try finding(home: "/home/x", ["\(folder)/Private.mnt": "/home/x\n"])
    #expect(finding?.detail.contains("encrypted with eCryptfs (\(folder)/Private.mnt)") == true)
    #expect(try self.finding(home: "/home/x", ["\(folder)/Private.mnt": "/home/x/Private\n"]) == nil)
  }

  @Test func anUnmountedMountIsNamed() throws {
    let host = try TemporaryHost(["/etc/fstab": Self.table])
    host.read { tree in
      let check = HomeCheck(tree: tree, mountInfo: Self.mounts)
      #expect(check.unmountedMount(of: "/home/fred x/.twofactor") == "/home/fred x")
      #expect(check.unmountedMount(of: "/home/erin/.twofactor") == nil)
      #expect(HomeCheck(tree: tree, mountInfo: []).unmountedMount(of: "/home/fred x") == nil)
    }
  }
}
