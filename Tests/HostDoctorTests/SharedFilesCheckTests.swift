import HostAccess
import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct SharedFilesCheckTests {
  private static let mounts = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "30 22 0:50 / /home/a\\040b rw shared:9 - nfs4 srv:/export/ab rw,vers=4.2,local_lock=none,addr=192.0.2.9",
    "31 22 0:50 / /home/bob rw shared:9 - nfs4 srv:/export/bob rw,vers=4.2,local_lock=none,addr=192.0.2.9",
    "32 22 0:51 / /old rw - nfs srv:/old rw,vers=3,nolock,local_lock=all,addr=192.0.2.9",
    "33 22 0:52 / /smb rw - cifs //srv/homes rw,vers=3.1.1,cache=loose,nobrl",
    "34 22 0:53 / /scratch rw - lustre 192.0.2.1@tcp:/scratch rw,checksum,localflock",
    "35 22 8:3 / /gfs rw - gfs2 /dev/sda3 rw,localflocks",
    "36 22 8:4 / /ocfs rw - ocfs2 /dev/sda4 rw,cluster_stack=o2cb",
    "37 22 0:54 / /ssh rw - fuse.sshfs host: rw,user_id=0,allow_other",
  ]

  private func enrollment(
    _ account: String, _ path: String, _ mount: UInt64, _ reach: LockReach, isEnrolled: Bool = true
  ) -> EnrollmentMount {
    EnrollmentMount(account: account, path: path, isEnrolled: isEnrolled, reach: reach, mount: mount)
  }

  private var homes: [EnrollmentMount] {
    [
      enrollment("ann", "/home/a b", 30, .allHosts, isEnrolled: false),
      enrollment("bob", "/home/bob/.twofactor", 31, .allHosts),
      enrollment("root", "/root/.twofactor", 22, .diskOfThisHost),
    ]
  }

  private func findings(
    _ enrollments: [EnrollmentMount], shared: Bool = true, exports: String = "", tests: [ServerTest] = []
  ) throws -> [Finding] {
    let host = try TemporaryHost(["/var/lib/nfs/etab": exports])
    let settings = try HostSettings(text: "window = 2\nshared = \(shared ? "yes" : "no")\n")
    return host.read { tree in
      let check = SharedFilesCheck(tree: tree, settings: settings, mountInfo: Self.mounts)
      return check.findings(of: enrollments, tests: tests)
    }
  }

  private static let works = ServerTest(lock: .works, difference: 0)

  @Test func mountsOfOneServerAreOneFindingAndOneTest() throws {
    let findings = try findings(homes, tests: [Self.works])
    #expect(findings == [.ok("shared_files", "locks on /home/a b and 1 more (nfs4) reach other hosts")])
    let host = try TemporaryHost()
    let settings = try HostSettings(text: "shared = yes\n")
    let tested = host.read { SharedFilesCheck(tree: $0, settings: settings, mountInfo: Self.mounts).tested(homes) }
    #expect(tested.map(\.account) == ["bob"])
  }

  @Test func aServerWithoutLocksIsFound() throws {
    let failed = ServerTest(lock: .failed(Errno(rawValue: 37)), difference: nil)
    let finding = try #require(try findings(homes, tests: [failed]).first)
    #expect(finding.summary == "shared_files failed")
    #expect(finding.detail.hasPrefix("srv locks no file on /home/a b and 1 more (nfs4): no locks available: "))
    let timedOut = try findings(homes, tests: [ServerTest(lock: .timedOut, difference: nil)])
    #expect(timedOut.first?.detail.hasPrefix("srv did not answer in time when a file on") == true)
  }

  @Test func theClockOfTheServerIsCompared() throws {
    let late = try findings(homes, tests: [ServerTest(lock: .works, difference: 75.4)])
    #expect(late.map(\.summary) == ["shared_files ok", "clock warning"])
    #expect(late.last?.detail.hasPrefix("the clock is 75 seconds behind that of the file server srv:") == true)
    let early = try findings(homes, tests: [ServerTest(lock: .works, difference: -75.4)])
    #expect(early.last?.detail.hasPrefix("the clock is 75 seconds ahead of that of the file server srv:") == true)
    #expect(try findings(homes, tests: [ServerTest(lock: .works, difference: 1.5)]).count == 1)
  }

  @Test(arguments: [
    (
      UInt64(32), LockReach.unsafeNFS, "/old (nfs) is mounted with nolock, local_lock=all",
      "remove nolock, local_lock=all from its mount options; then: umount /old && mount /old"
    ),
    (
      33, .unsafeCIFS, "/smb (cifs) is mounted with cache=loose, nobrl",
      "remove cache=loose, nobrl from its mount options and add cache=strict; then: umount /smb && mount /smb"
    ),
    (
      34, .unsafeLustre, "/scratch (lustre) is mounted with localflock",
      "mount it with the option flock; then: umount /scratch && mount /scratch"
    ),
    (
      35, .unsafeCluster, "/gfs (gfs2) is mounted with localflocks",
      "mount it with lockproto=lock_dlm, and without localflocks"
    ),
    (36, .unsafeCluster, "/ocfs (ocfs2) keeps locks on this host", "mount it without localflocks, with the cluster"),
    (37, .plan9OrFUSE, "/ssh (fuse.sshfs) may keep locks on this host", "store the enrollments on a file system"),
  ])
  func localLocksFail(mount: UInt64, reach: LockReach, detail: String, remedy: String) throws {
    let users = [enrollment("ann", "/x/ann", mount, reach), enrollment("bob", "/x/bob", mount, reach)]
    let found = try findings(users)
    #expect(found.map(\.summary) == ["shared_files failed"])
    #expect(
      found[0].detail == detail + ": with shared = yes, logins of ann and 1 more with a code are refused")
    #expect(found[0].remedy?.hasPrefix(remedy) == true, "\(found[0].remedy ?? "")")
  }

  @Test func aDiskIsRightOnTheHostThatExportsIt() throws {
    let users = [enrollment("ann", "/srv/twofactor/ann", 22, .diskOfThisHost)]
    let found = try findings(users)
    #expect(found.map(\.summary) == ["shared_files warning"])
    #expect(found[0].detail.hasPrefix("/srv/twofactor/ann is on a disk of this host (ext4): "))
    let exported = try findings(users, exports: "/srv/twofactor\t192.0.2.0/24(rw,sync,root_squash)\n")
    #expect(exported.map(\.summary) == ["shared_files ok"])
    #expect(try findings(users, exports: "/srv/two\t*(rw)\n").map(\.summary) == ["shared_files warning"])
    // Root usually has an enrollment on each host.
    #expect(try findings([enrollment("root", "/root/.twofactor", 22, .diskOfThisHost)]) == [])
  }

  @Test func withoutTheOptionAnEnrollmentOnANetworkFileSystemIsNoticed() throws {
    let found = try findings(homes, shared: false)
    #expect(found.map(\.summary) == ["shared_files warning"])
    #expect(found[0].detail.hasPrefix("an enrollment is on the network file system /home/a b and 1 more (nfs4), "))
    #expect(found[0].remedy == "if other hosts use them, set in /etc/security/twofactor.conf: shared = yes")
    let local = try findings([enrollment("ann", "/old/ann", 32, .unsafeNFS)], shared: false)
    #expect(local[0].detail.hasSuffix("whose locks stay on this host: a code can be used once on each host"))
    for reach in [LockReach.diskOfThisHost, .plan9OrFUSE, .unknownFileSystem] {
      #expect(try findings([enrollment("ann", "/ssh/ann", 37, reach)], shared: false) == [])
    }
    #expect(try findings([homes[0]], shared: false) == [])
  }
}
