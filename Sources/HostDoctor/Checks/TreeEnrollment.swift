import Enrollment
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// Checks homes and files of enrollments as logins do, by owners, permission bits and content.
package struct TreeEnrollment {
  /// Why every login of an account fails.
  package struct Obstacle {
    package let text: String
    package let remedy: String

    package init(_ text: String, remedy: String) {
      self.text = text
      self.remedy = remedy
    }
  }

  package static let outsideHomes =
    "keep enrollments outside the homes: store = host, in \(HostSettings.path)"

  let tree: HostTree
  let settings: HostSettings

  /// The account with whose identity logins open enrollments; nil if the user's.
  private let owner: TreeAccount?

  package init(tree: HostTree, settings: HostSettings) {
    self.tree = tree
    self.settings = settings
    owner = settings.owner.flatMap { TreeAccount.named($0, in: tree) }
  }

  /// `services` are those of the tree.
  package func findings(of accounts: [TreeAccount], services: [ServiceLogins] = []) -> [Finding] {
    guard !settings.isPostgreSQL else { return [.skipped("enrollments", "the enrollments are in a database")] }
    var findings: [Finding] = []
    var unenrolled: [UnenrolledUser] = []
    var lost: [String] = []
    var enrolled: [EnrolledDirectory] = []
    let register = RegisterCheck(tree: tree)
    let homes = HomeCheck(tree: tree)
    for account in accounts {
      do throws(EnrollmentFailure) {
        if !settings.isHostStore, let obstacle = misplaced(account) {
          findings.append(.enrollment(account.name, obstacle))
          continue
        }
        let (directory, isBelowHome) = try account.enrollment(template: settings.directoryTemplate)
        if isBelowHome, tree.status(of: account.home) == nil {
          // Images seldom contain the homes, which may be on another disk.
          findings.append(.skipped("home", "\(account.name): \(account.home) is not in this tree"))
          continue
        }
        switch way(of: account, to: directory, isBelowHome: isBelowHome) {
        case .absent:
          if let obstacle = misplaced(account) {
            findings.append(.enrollment(account.name, obstacle))
            continue
          }
          guard register.names(account) else {
            let hasKey = tree.ownStatus(of: account.home + UnenrolledUser.keys) != nil
            unenrolled.append(UnenrolledUser(name: account.name, hasKey: hasKey))
            continue
          }
          findings.append(.enrollment(account.name, missing(account, directory)))
          lost.append(account.name)
        case .refusedAtHome(let obstacle): findings.append(.home(account.name, obstacle))
        case .refused(let obstacle): findings.append(.enrollment(account.name, obstacle))
        case .present(let isOpenedAsUser):
          enrolled.append(EnrolledDirectory(account: account.name, path: directory))
          findings += files(of: account, in: directory, isOpenedAsUser: isOpenedAsUser).findings(
            account.name, directory)
          if isBelowHome, let home = homes.finding(of: account) { findings.append(home) }
        }
      } catch {
        findings.append(
          .home(account.name, Obstacle(Self.words(error), remedy: "correct directory, in \(HostSettings.path)")))
      }
    }
    findings += SELinuxCheck(tree: tree).findings(of: enrolled)
    let all = TreeAccount.all(in: tree)
    let isWhole = accounts.count >= all.count { $0.mayLogIn }
    findings += UnenrolledCheck(tree: tree, services: services)
      .findings(of: unenrolled, enrolled: isWhole ? enrolled.count : nil)
    let others = NameSources(tree: tree).silentSources(among: [])
    if others.isEmpty, isWhole {
      let names = Set(all.map(\.name))
      let userIDs = Set(all.map(\.userID.rawValue))
      findings += OrphanCheck.findings(
        in: tree, settings, missing: lost, isAccount: names.contains, isUserID: { userIDs.contains($0.rawValue) })
    }
    let remark = others.isEmpty ? "" : "; accounts of \(others.joined(separator: ", ")) are not in this tree"
    if let path = ["/etc/passwd", "/etc/group"].first(where: isUnreadable) {
      let words = "cannot be read, or is longer than 1 MiB: not all accounts are known"
      findings.append(.skipped("enrollments", "\(path) \(words)"))
    }
    return [
      .ok("enrollments", "\(enrolled.count) of \(accounts.count) accounts that may log in are enrolled\(remark)")
    ] + findings
  }

  private func isUnreadable(_ path: String) -> Bool { tree.exists(path) && tree.text(of: path) == nil }

  // MARK: The path of the directory

  /// The result of a login's walk to the directory of an enrollment (``EnrollmentDirectory``).
  package enum Way {
    /// Proves that the user is not enrolled, unless the register names the user.
    case absent
    /// `isOpenedAsUser`: whether a login opens the files with the user's identity instead of root's.
    case present(isOpenedAsUser: Bool)
    case refusedAtHome(Obstacle)
    case refused(Obstacle)
  }

  package func way(of account: TreeAccount, to directory: String, isBelowHome: Bool) -> Way {
    let keeper = owner ?? account
    if isBelowHome, let obstacle = homeObstacle(account) { return .refusedAtHome(obstacle) }
    var here = isBelowHome ? account.home : "/"
    guard var status = tree.status(of: here) else { return .absent }
    let names = directory.dropFirst(isBelowHome ? here.count : 0).split(separator: "/")
    var isUser = isBelowHome && keeper.userID != .root
    for (index, name) in names.enumerated() {
      let path = (here == "/" ? "" : here) + "/" + name
      if isUser, !keeper.maySearch(status) {
        return .refused(Obstacle("\(here) cannot be searched by \(keeper.name)", remedy: "chmod u+x \(here)"))
      }
      // As in a login, follow root's symlinks in /var and /var/lib.
      let isSystem = settings.isHostStore && index < names.count - 1
      guard let next = isSystem && index < 2 ? tree.status(of: path) : tree.ownStatus(of: path) else {
        if isBelowHome, index == 0, status.owner != account.userID {
          return .refusedAtHome(Obstacle("\(here) is not owned by the user", remedy: "chown \(account.name) \(here)"))
        }
        // StackPolicyCheck reports a missing parent.
        return .absent
      }
      // HostStoreCheck reports the parents of the host store.
      if !isSystem, let violation = TrustRule.directory(of: keeper.userID, allowsSticky: true).violation(of: next) {
        let isLast = index == names.count - 1
        let remedy =
          switch violation {
          case .notDirectory, .notRegularFile: "rm \(path) && twofactor enable --user \(account.name)"
          case .foreignOwner: "chown -hR \(keeper.name): \(path)"
          case .writableByOthers, .accessibleByOthers, .hardLinked: "chmod \(isLast ? "700" : "go-w") \(path)"
          }
        return .refused(Obstacle("\(path) \(String(decoding: violation.text.bytes))", remedy: remedy))
      }
      (here, status) = (path, next)
      isUser = isUser || status.owner == keeper.userID && keeper.userID != .root
    }
    let isOfKeeper = isUser || settings.owner != nil || settings.isHostStore
    return .present(isOpenedAsUser: isOfKeeper && keeper.userID != .root)
  }

  /// Why a login cannot use the home, enrolled or not.
  package func homeObstacle(_ account: TreeAccount) -> Obstacle? {
    let home = account.home
    guard let status = tree.status(of: home) else {
      let mount = unmountedMount(of: home)
      return Obstacle(
        "\(home) does not exist" + (mount.map { ": \($0) is not mounted" } ?? ""),
        remedy: mount.map { "mount \($0)" } ?? "\(creation(ofHome: account))\nor \(Self.outsideHomes)"
      )
    }
    switch TrustRule.directory(of: account.userID, allowsSticky: false).violation(of: status) {
    case .notDirectory, .notRegularFile:
      return Obstacle("\(home) is not a directory", remedy: "replace it with a directory")
    case .foreignOwner: return Obstacle("\(home) is not owned by the user", remedy: "chown \(account.name) \(home)")
    case .writableByOthers, .accessibleByOthers, .hardLinked:
      return Obstacle("\(home) is writable by others", remedy: "chmod go-w \(home)")
    case nil: break
    }
    if let path = unsearchable(account) {
      let isOwn = tree.status(of: path)?.owner == account.userID
      return Obstacle(
        "\(path) cannot be searched by \(account.name)", remedy: "chmod \(isOwn ? "u+x" : "a+x") \(path)")
    }
    if tree.hidesNames(home) {
      return Obstacle(
        "\(home) is encrypted with fscrypt, and its key is absent",
        remedy: "fscrypt unlock \(home)\nor \(Self.outsideHomes)")
    }
    return nil
  }

  /// The first directory of the home's path, including the home, that the account cannot search.
  private func unsearchable(_ account: TreeAccount) -> String? {
    var path = ""
    for name in account.home.split(separator: "/") {
      path += "/" + name
      if let status = tree.status(of: path), !account.maySearch(status) { return path }
    }
    return nil
  }

  private func creation(ofHome account: TreeAccount) -> String {
    let helper = ["/usr/sbin/mkhomedir_helper", "/sbin/mkhomedir_helper"].first { tree.exists($0) }
    return helper.map { "\($0) \(account.name)" } ?? "install -d -o \(account.name) -m 700 \(account.home)"
  }

  /// The mount point in fstab(5) of a path that does not exist.
  private func unmountedMount(of path: String) -> String? {
    let mounts = tree.lines(of: "/etc/fstab").compactMap { line -> String? in
      let fields = line.split { $0 == " " || $0 == "\t" }.map(String.init)
      guard fields.count >= 2, !fields[0].hasPrefix("#"), fields[1].hasPrefix("/"), fields[1] != "/" else { return nil }
      return fields[1]
    }
    return mounts.filter { path == $0 || path.hasPrefix($0 + "/") }.max { $0.count < $1.count }
  }

  // MARK: The files

  package enum Files {
    case usable
    /// The next login recreates it, and fails.
    case lostState
    case unusable([Obstacle])
  }

  /// Examines files in a directory that passed ``way(of:to:isBelowHome:)``.
  package func files(of account: TreeAccount, in directory: String, isOpenedAsUser: Bool) -> Files {
    guard let status = tree.ownStatus(of: directory) else { return .usable }
    let keeper = owner ?? account
    if isOpenedAsUser {
      if status.owner != keeper.userID {
        return .unusable([
          Obstacle(
            "\(directory) is owned by root, and logins open it as \(keeper.name)",
            remedy: "chown -hR \(keeper.name): \(directory)")
        ])
      }
      if !keeper.maySearch(status) {
        return .unusable([Obstacle("\(directory) cannot be searched by its owner", remedy: "chmod 700 \(directory)")])
      }
    }
    let again = "twofactor enable --force --user \(account.name)"
    let owner = status.owner == keeper.userID ? keeper.name : "root"
    let files = [("credential", 0o400), ("state", 0o600)].compactMap { name, mode in
      file(
        directory + "/" + name, mode: isOpenedAsUser ? mode : 0, ownerID: status.owner, owner: owner, again: again)
    }
    guard files.isEmpty else { return .unusable(files) }
    if let words = credential(directory + "/credential") { return .unusable([Obstacle(words, remedy: again)]) }
    guard let opened = tree.directory(directory) else { return .usable }
    do throws(EnrollmentFailure) {
      _ = try EnrollmentSnapshot(of: EnrollmentDirectory(directory: opened, owner: status.owner))
      return .usable
    } catch {
      if error.isOfLostState { return .lostState }
      return .unusable([Obstacle("\(directory)/\(Self.words(error))", remedy: again)])
    }
  }

  private func file(_ path: String, mode: UInt32, ownerID: UserID, owner: String, again: String) -> Obstacle? {
    // A login recreates a missing state.
    guard let status = tree.ownStatus(of: path) else {
      return path.hasSuffix("/state") ? nil : Obstacle("\(path) is missing", remedy: again)
    }
    guard let violation = TrustRule.privateFile(of: ownerID).violation(of: status) else {
      guard status.mode & mode != mode else { return nil }
      return Obstacle(
        "\(path) cannot be \(mode == 0o400 ? "read" : "read and written") by its owner", remedy: "chmod 600 \(path)")
    }
    let remedy =
      switch violation {
      case .notRegularFile, .notDirectory: again
      case .foreignOwner: "chown \(owner): \(path)"
      case .hardLinked: "remove the name that does not belong: find / -xdev -samefile \(path)"
      case .accessibleByOthers, .writableByOthers: "chmod 600 \(path)"
      }
    return Obstacle("\(path) \(String(decoding: violation.text.bytes))", remedy: remedy)
  }

  private func credential(_ path: String) -> String? {
    guard let bytes = tree.bytes(of: path, upTo: Credential.maximumLength + 1) else { return "\(path) cannot be read" }
    guard bytes.count <= Credential.maximumLength, var text = SecretBuffer(capacity: max(bytes.count, 1)) else {
      return "\(path) is too long"
    }
    if let version = Self.version(bytes), version < Self.currentVersion {
      return "\(path) has the older format \(version); the module reads \(Self.currentVersion)"
    }
    _ = text.append(bytes.span)
    do throws(EnrollmentFailure) {
      _ = try Credential(parsing: text)
      return nil
    } catch {
      return "\(path): \(Self.words(error))"
    }
  }

  private static func words(_ failure: EnrollmentFailure) -> String {
    var words = ByteText(capacity: 255)
    failure.describe(into: &words)
    return String(decoding: words.bytes)
  }

  /// See pam/credential-format.md.
  private static let currentVersion = 1

  private static func version(_ bytes: [UInt8]) -> Int? {
    let line = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    let prefix = "twofactor-credential "
    return line.hasPrefix(prefix) ? Int(line.dropFirst(prefix.count)) : nil
  }

  /// Why the directory is not writable (statvfs(3)).
  package static func diskProblem(_ directory: String) -> (text: String, isFatal: Bool)? {
    var disk = statvfs()
    // SAFETY: the string is NUL-terminated, and the structure outlives the call.
    guard unsafe statvfs(directory, &disk) == 0 else { return nil }
    if disk.f_flag & UInt(ST_RDONLY) != 0 { return ("is on a file system that is mounted read-only", true) }
    if disk.f_blocks > 0, disk.f_bavail == 0 { return ("is on a file system that is full", false) }
    if disk.f_files > 0, disk.f_favail == 0 { return ("is on a file system without free inodes", false) }
    return nil
  }
}

extension Finding {
  package static func enrollment(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .failed("enrollment", "\(name) cannot log in: \(obstacle.text)", remedy: obstacle.remedy)
  }

  package static func lostState(_ name: String, _ directory: String) -> Finding {
    .warning(
      "enrollment",
      "\(name): \(directory)/state is missing, empty or damaged: codes are refused until the current ones have expired, "
        + "and all backup codes count as used",
      remedy: "if logins still fail after a few minutes: twofactor enable --force --user \(name)")
  }

  /// The module refuses logins if the home does not show whether the user is enrolled.
  package static func home(_ name: String, _ obstacle: TreeEnrollment.Obstacle) -> Finding {
    .warning("home", "\(name) cannot log in, enrolled or not: \(obstacle.text)", remedy: obstacle.remedy)
  }
}

extension EnrollmentFailure {
  /// Whether the next login recreates the state.
  fileprivate var isOfLostState: Bool {
    reason == .corrupt && subject.bytes.isEqual(to: "state") && !problem.bytes.isEqual(to: "has an unknown version")
  }
}

extension TreeEnrollment.Files {
  package func findings(_ name: String, _ directory: String) -> [Finding] {
    switch self {
    case .usable: []
    case .lostState: [.lostState(name, directory)]
    case .unusable(let obstacles): obstacles.map { .enrollment(name, $0) }
    }
  }
}
