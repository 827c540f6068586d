import HostAccess
import SystemFiles

/// An enrollment, or the home of an account without one, and its file system.
package struct EnrollmentMount {
  package let account: String
  /// The directory.
  package let path: String
  package let isEnrolled: Bool
  package let reach: LockReach
  /// The mount ID (proc_pid_mountinfo(5)); 0 if unknown.
  package let mount: UInt64

  package init(account: String, path: String, isEnrolled: Bool, reach: LockReach, mount: UInt64) {
    self.account = account
    self.path = path
    self.isEnrolled = isEnrolled
    self.reach = reach
    self.mount = mount
  }
}

/// A test of a file server with one enrollment.
package struct ServerTest {
  package enum Lock: Equatable {
    case works
    case failed(Errno)
    case timedOut
  }

  package let lock: Lock
  /// By how many seconds the server's clock is ahead; nil if unknown.
  package let difference: Double?

  package init(lock: Lock, difference: Double?) {
    self.lock = lock
    self.difference = difference
  }
}

/// Checks that locks on enrollments reach the other hosts that use them (`shared`).
package struct SharedFilesCheck {
  private let tree: HostTree
  private let settings: HostSettings
  private let mounts: [UInt64: Mount]

  private static let name = "shared_files"
  private static let others =
    "a file system whose locks reach all hosts: NFS, CephFS, or Lustre with flock; or use store = postgresql"

  private struct Mount {
    let path: String
    let type: String
    let source: String
    let options: [String]

    /// A line of proc_pid_mountinfo(5).
    init?(fields: [String]) {
      guard let dash = fields.firstIndex(of: "-"), dash > 5, dash + 3 < fields.count else { return nil }
      path = HomeCheck.unescaped(fields[4])
      type = fields[dash + 1]
      source = HomeCheck.unescaped(fields[dash + 2])
      options = fields[dash + 3].split(separator: ",").map(String.init)
    }

    /// The server of NFS (`server:/path`) or CIFS (`//server/share`); else the whole source.
    var server: String {
      if source.hasPrefix("//") { return String(source.dropFirst(2).prefix { $0 != "/" }) }
      return source.contains(":/") ? String(source.prefix { $0 != "/" }.dropLast()) : source
    }

    /// Options that keep locks on this host, or let it read outdated files.
    var unsafeOptions: [String] {
      options.filter { option in
        ["nolock", "local_lock=all", "local_lock=posix", "nocto", "nobrl", "localflock", "noflock", "localflocks"]
          .contains(option) || option.hasPrefix("cache=") && option != "cache=strict" && option != "cache=none"
      }
    }
  }

  /// Mounts with the same problem: automounters mount each home separately.
  private struct Group {
    let mount: Mount
    var members: [EnrollmentMount]
    var paths: Set<String>

    var reach: LockReach { members[0].reach }

    /// For example `/home (nfs4)`.
    var name: String {
      let more = paths.count - 1
      return mount.path + (more > 0 ? " and \(more) more" : "") + " (\(mount.type))"
    }

    var accounts: String {
      let names = members.filter(\.isEnrolled).map(\.account)
      guard let first = names.first else { return "users" }
      return names.count == 1 ? first : "\(first) and \(names.count - 1) more"
    }
  }

  package init(tree: HostTree, settings: HostSettings) {
    self.init(tree: tree, settings: settings, mountInfo: tree.lines(of: "/proc/self/mountinfo"))
  }

  /// `mountInfo` has the lines of proc_pid_mountinfo(5).
  init(tree: HostTree, settings: HostSettings, mountInfo: [String]) {
    self.tree = tree
    self.settings = settings
    var mounts: [UInt64: Mount] = [:]
    for line in mountInfo {
      let fields = line.split(separator: " ").map(String.init)
      guard let id = fields.first.flatMap({ UInt64($0) }), let mount = Mount(fields: fields) else { continue }
      mounts[id] = mount
    }
    self.mounts = mounts
  }

  private func mount(of enrollment: EnrollmentMount) -> Mount? {
    if let mount = mounts[enrollment.mount] { return mount }
    // Linux before 5.8 does not report the mount of a file.
    let path = HomeCheck(tree: tree).mountPoint(of: enrollment.path)
    return mounts.values.first { $0.path == path }
  }

  private func groups(of enrollments: [EnrollmentMount]) -> [Group] {
    var groups: [(key: [String], group: Group)] = []
    for enrollment in enrollments {
      guard let mount = mount(of: enrollment) else { continue }
      let isDisk = enrollment.reach == .diskOfThisHost
      let key =
        ["\(enrollment.reach.rawValue)", mount.type, mount.unsafeOptions.joined(), isDisk ? mount.path : mount.server]
      if let index = groups.firstIndex(where: { $0.key == key }) {
        groups[index].group.members.append(enrollment)
        groups[index].group.paths.insert(mount.path)
      } else {
        groups.append((key, Group(mount: mount, members: [enrollment], paths: [mount.path])))
      }
    }
    return groups.map(\.group)
  }

  /// One enrollment on each server, for a ``ServerTest``. Empty unless enrollments are shared.
  package func tested(_ enrollments: [EnrollmentMount]) -> [EnrollmentMount] {
    guard settings.isShared else { return [] }
    return groups(of: enrollments).filter { $0.reach == .allHosts }.compactMap { $0.members.first(where: \.isEnrolled) }
  }

  /// `tests` are those of ``tested(_:)``, in the same order.
  package func findings(of enrollments: [EnrollmentMount], tests: [ServerTest]) -> [Finding] {
    let tested = tested(enrollments).map(\.account)
    return groups(of: enrollments).flatMap { group -> [Finding] in
      switch group.reach {
      case .allHosts:
        let index = group.members.firstIndex(where: \.isEnrolled).flatMap {
          tested.firstIndex(of: group.members[$0].account)
        }
        let test = index.flatMap { $0 < tests.count ? tests[$0] : nil }
        return settings.isShared ? shared(group, test) : [unshared(group)].compactMap { $0 }
      case .diskOfThisHost: return settings.isShared ? [disk(group)].compactMap { $0 } : []
      default: return [settings.isShared ? refused(group) : unshared(group)].compactMap { $0 }
      }
    }
  }

  private func shared(_ group: Group, _ test: ServerTest?) -> [Finding] {
    guard let test else { return [.ok(Self.name, "locks on \(group.name) reach other hosts")] }
    let (kind, server) = (group.mount.type, group.mount.server)
    let isNFS3 = kind == "nfs"
    let service = "on \(server), start rpc.statd and the kernel's lockd: rpcinfo -p \(server) lists status and nlockmgr"
    let lock: Finding =
      switch test.lock {
      case .works: .ok(Self.name, "locks on \(group.name) reach other hosts")
      case .failed(let error):
        .failed(
          Self.name, "\(server) locks no file on \(group.name): \(error.text): logins with a code are refused",
          remedy: isNFS3 ? service + "\nor mount with vers=4.2" : "examine the server, then run: twofactor doctor")
      case .timedOut:
        .failed(
          Self.name,
          "\(server) did not answer in time when a file on \(group.name) was locked: logins with a code wait",
          remedy: isNFS3 ? service + "\nor mount with vers=4.2" : "examine the server, then run: twofactor doctor")
      }
    let clock = test.difference.flatMap {
      ClockCheck.finding(
        comparing: $0, with: "the file server \(server)", window: Int64(clamping: settings.limits.window) * 30)
    }
    return [lock] + [clock].compactMap { $0 }
  }

  /// An enrollment on a network file system, without `shared`.
  private func unshared(_ group: Group) -> Finding? {
    let isNetwork = [.allHosts, .unsafeNFS, .unsafeCIFS, .unsafeLustre, .unsafeCluster].contains(group.reach)
    let count = group.members.count(where: \.isEnrolled)
    guard isNetwork, count > 0 else { return nil }
    let subject = count == 1 ? "an enrollment is" : "\(count) enrollments are"
    guard let remedy = remedy(group) else {
      return .warning(
        Self.name, "\(subject) on the network file system \(group.name), and shared is not set: locks are not examined",
        remedy: "if other hosts use them, set in \(HostSettings.path): shared = yes")
    }
    return .warning(
      Self.name, "\(subject) on \(group.name), whose locks stay on this host: a code can be used once on each host",
      remedy: "if other hosts use them, set in \(HostSettings.path): shared = yes\n\(remedy)")
  }

  private func refused(_ group: Group) -> Finding {
    let option = group.mount.unsafeOptions.joined(separator: ", ")
    let reason =
      switch group.reach {
      case _ where !option.isEmpty: "is mounted with \(option)"
      case .plan9OrFUSE, .unknownFileSystem: "may keep locks on this host"
      case .unexamined: "cannot be examined"
      default: "keeps locks on this host"
      }
    return .failed(
      Self.name, "\(group.name) \(reason): with shared = yes, logins of \(group.accounts) with a code are refused",
      remedy: remedy(group) ?? "store the enrollments on \(Self.others)")
  }

  /// How to mount the file system so that its locks reach other hosts; nil if they do, or never will.
  private func remedy(_ group: Group) -> String? {
    let (path, option) = (group.mount.path, group.mount.unsafeOptions.joined(separator: ", "))
    let again = "then: umount \(path) && mount \(path)"
    switch group.reach {
    case .unsafeNFS where option.isEmpty: return "mount it with local_lock=none; \(again)"
    case .unsafeNFS, .unsafeCIFS:
      let add = option.contains("cache=") || option.isEmpty ? " and add cache=strict" : ""
      return "remove \(option.isEmpty ? "cache" : option) from its mount options"
        + (group.reach == .unsafeCIFS ? add : "") + "; \(again)"
    case .unsafeLustre: return "mount it with the option flock; \(again)"
    case .unsafeCluster:
      return group.mount.type == "ocfs2"
        ? "mount it without localflocks, with the cluster stack pcmk; o2cb keeps locks on each host"
        : "mount it with lockproto=lock_dlm, and without localflocks"
    default: return nil
    }
  }

  /// A disk of this host, of an account other than root, which usually has an enrollment on each host.
  private func disk(_ group: Group) -> Finding? {
    guard let first = group.members.first(where: { $0.isEnrolled && $0.account != "root" }) else { return nil }
    let exports = tree.lines(of: "/var/lib/nfs/etab").compactMap { $0.split(separator: "\t").first.map(String.init) }
    let isExported = exports.contains { export in
      first.path == export || first.path.hasPrefix(export.hasSuffix("/") ? export : export + "/")
    }
    if isExported {
      return .ok(Self.name, "\(group.name) is a disk of this host, which exports it: locks reach its NFS clients")
    }
    return .warning(
      Self.name,
      "\(first.path) is on a disk of this host (\(group.mount.type)): other hosts can use it safely only if this host "
        + "exports it",
      remedy: "mount the file system that the hosts share, or store the enrollments on it: directory, in "
        + "\(HostSettings.path)")
  }
}
