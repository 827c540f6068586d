import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Checks this host's enrollments for `doctor`, each with the account's identity.
struct EnrollmentCheck {
  let settings: HostSettings

  private static let fewBackupCodes = 3

  /// Accepted codes may be this many seconds ahead of the clock.
  private static let longestWindow: Int64 = 600

  private let tree = HostTree()

  /// Empty for a process that may not read the register.
  private let registered: [UserID]

  init(settings: HostSettings) {
    self.settings = settings
    registered = RegisterCheck(tree: tree).users
  }

  /// Covers all accounts that may log in or are registered, and register entries without an account.
  func findingsOfAll() -> [Finding] {
    var names = UserAccount.allWithLogin().map(\.nameText)
    var withoutAccount: [UserID] = []
    for user in registered {
      var entry = Account()
      switch entry.find(userID: user) {
      case .found:
        let name = String(decoding: entry.name.bytes)
        if !names.contains(name) { names.append(name) }
      case .unknown: withoutAccount.append(user)
      case .failed: continue
      }
    }
    let finding = RegisterCheck(tree: tree).finding(ofUsersWithoutAccount: withoutAccount)
    return findings(of: names) + [finding].compactMap { $0 }
  }

  /// Includes the number of enrolled accounts.
  func findings(of names: [String]) -> [Finding] {
    let homes = HomeCheck(tree: tree)
    var findings: [Finding] = []
    var enrolled: [EnrolledDirectory] = []
    let outcomes = BoundedWork.outcomes(count: names.count) { index in
      let (directory, findings) = examine(names[index], homes)
      return [directory ?? ""] + findings.flatMap(\.texts)
    }
    for (name, outcome) in zip(names, outcomes) {
      switch outcome {
      case .done(let texts):
        if let directory = texts.first, directory != "" {
          enrolled.append(
            EnrolledDirectory(account: name, path: directory, owner: try? UserAccount.existing(named: name)))
        }
        findings += Finding.all(in: texts.dropFirst())
      case .timedOut, .failed: findings.append(withoutAnswer(name))
      }
    }
    findings += labelFindings(of: enrolled)
    return [.ok("enrollments", "\(enrolled.count) of \(names.count) accounts that may log in are enrolled")] + findings
  }

  private func labelFindings(of enrolled: [EnrolledDirectory]) -> [Finding] {
    let outcomes = BoundedWork.outcomes(count: 1) { _ in
      SELinuxCheck(tree: tree).findings(of: enrolled).flatMap(\.texts)
    }
    guard case .done(let texts)? = outcomes.first else {
      return [.skipped("selinux_label", "the labels were not read within \(BoundedWork.limit) seconds")]
    }
    return Finding.all(in: texts[...])
  }

  private func withoutAnswer(_ name: String) -> Finding {
    let home = (try? UserAccount.existing(named: name)).map { TreeAccount($0).home } ?? "the home"
    return .home(
      name,
      TreeEnrollment.Obstacle(
        "\(home) was not examined within \(BoundedWork.limit) seconds: a file system there does not answer",
        remedy: "see what is mounted there: findmnt --list | grep \(home)"))
  }

  /// Nil if the account is not enrolled. Accesses the account's directories with its identity, because even
  /// stat(2) would follow symlinks that the account exchanges meanwhile.
  private func examine(_ name: String, _ homes: HomeCheck) -> (directory: String?, findings: [Finding]) {
    guard let account = try? UserAccount.existing(named: name) else { return (nil, []) }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do {
      let store = try EnrollmentStore(account: account, settings: settings)
      // Any other access to the path could block forever.
      if let failure = store.fuseFailure { return (nil, [Self.onFUSE(name, failure, store.directory)]) }
      do throws(Errno) {
        try identity.assume(account, at: store.directory)
      } catch {
        throw SetupError(.notPermitted, "cannot act as \(name): \(error.text)")
      }
      switch try store.standing() {
      case .absent:
        guard registered.contains(account.entry.userID) else { return (nil, []) }
        let missing = TreeEnrollment(tree: tree, settings: settings).missing(TreeAccount(account), store.directory)
        return (nil, [.enrollment(name, missing)])
      case .enrolled:
        let home = homeFindings(of: store, homes)
        do {
          return (store.directory, home + (try findings(of: store, name)))
        } catch {
          return (store.directory, home + [unusable(name, Self.words(error))])
        }
      case .unusable(let failure):
        if case .unusable(let obstacles) = files(of: store) {
          return (store.directory, obstacles.map { .enrollment(name, $0) })
        }
        return (store.directory, [unusable(name, SetupError(failure, directory: store.directory).message)])
      }
    } catch {
      let message = Self.words(error)
      let store = try? EnrollmentStore(account: account, settings: settings)
      let way = store.map {
        TreeEnrollment(tree: tree, settings: settings)
          .way(of: TreeAccount(account), to: $0.directory, isBelowHome: $0.isBelowHome)
      }
      switch way {
      case .refusedAtHome(let obstacle): return (nil, [.home(name, obstacle)])
      case .refused(let obstacle): return (nil, [.enrollment(name, obstacle)])
      case .absent, .present, nil: break
      }
      let remedy =
        "let only root and \(name) write to the directories of the path, or \(TreeEnrollment.outsideHomes)"
      return (nil, [.home(name, TreeEnrollment.Obstacle(message, remedy: remedy))])
    }
  }

  private static func onFUSE(_ name: String, _ failure: EnrollmentFailure, _ directory: String) -> Finding {
    let remedy =
      switch failure.subject.description {
      case "credential", "state": "umount --no-canonicalize --lazy \(directory)/\(failure.subject.description)"
      case "directory": "umount --no-canonicalize --lazy \(directory)"
      default: "unmount it; to find it: findmnt --list | grep fuse"
      }
    let message = SetupError(failure, directory: directory).message
    return .enrollment(name, TreeEnrollment.Obstacle(message, remedy: remedy))
  }

  /// Examines the home with the account's file-system identity.
  private func homeFindings(of store: EnrollmentStore, _ homes: HomeCheck) -> [Finding] {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard store.isBelowHome, (try? store.open(&identity)) != nil else { return [] }
    return homes.finding(of: TreeAccount(store.account)).map { [$0] } ?? []
  }

  /// Whether logins can use the files. Examined with the account's file-system identity, because the owner can exchange
  /// a file between check and use.
  private func files(of store: EnrollmentStore) -> TreeEnrollment.Files {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard (try? store.open(&identity)) != nil else { return .usable }
    let account = store.account.entry.userID
    let isOfUser = store.isBelowHome || tree.ownStatus(of: store.directory)?.owner == account
    return TreeEnrollment(tree: tree, settings: settings)
      .files(of: TreeAccount(store.account), in: store.directory, isOpenedAsUser: account != .root && isOfUser)
  }

  private func unusable(_ name: String, _ message: String) -> Finding {
    .enrollment(name, TreeEnrollment.Obstacle(message, remedy: "twofactor enable --force --user \(name)"))
  }

  private static func words(_ error: any Error) -> String { (error as? SetupError)?.message ?? "cannot be read" }

  private func findings(of store: EnrollmentStore, _ name: String) throws -> [Finding] {
    let directory = store.directory
    var findings: [Finding] = []
    if let problem = TreeEnrollment.diskProblem(directory) {
      guard !problem.isFatal else {
        return [
          .failed("file_system", "\(name) cannot log in: \(directory) \(problem.text)", remedy: "mount it read-write")
        ]
      }
      findings.append(
        .warning("file_system", "\(directory) \(problem.text): logins work, changes fail", remedy: "free some space"))
    }
    let files = files(of: store)
    guard case .usable = files else { return findings + files.findings(name, directory) }
    if store.copiesStateOnWrite {
      findings.append(
        .warning(
          "file_system",
          "\(directory)/state needs free space on btrfs at each login: if another user fills the disk, \(name) is refused",
          remedy: "ask \(name) to run: twofactor backup-codes"))
    }
    let now = SystemClock.now
    let status = try store.status(now: now, mending: false)
    if let last = status.lastUsedAt, last > now + Self.longestWindow {
      findings.append(
        .failed(
          "clock",
          "\(name) logged in at \(Timestamp(seconds: last).readable), which is in the future: the clock was set back, "
            + "and codes are refused until that time",
          remedy: ClockCheck.remedy))
    }
    if status.backupCodes > 0, status.backupCodesLeft < Self.fewBackupCodes {
      findings.append(
        .warning(
          "backup_codes", "\(name) has \(status.backupCodesLeft) backup codes left",
          remedy: "ask \(name) to run: twofactor backup-codes"))
    }
    if status.throttling == .locked {
      findings.append(
        .warning(
          "throttling", "\(name) is locked after \(status.failures) wrong codes, until a backup code is used",
          remedy: "twofactor unlock --user \(name)"))
    }
    return findings
  }
}

extension Finding {
  /// The texts that a child process reports.
  fileprivate var texts: [String] { [name, status.rawValue, detail, remedy ?? ""] }

  fileprivate static func all(in texts: ArraySlice<String>) -> [Finding] {
    stride(from: texts.startIndex, to: texts.endIndex - 3, by: 4).map { index in
      Finding(
        name: texts[index], status: Status(rawValue: texts[index + 1]) ?? .failed, detail: texts[index + 2],
        remedy: texts[index + 3] == "" ? nil : texts[index + 3])
    }
  }
}
