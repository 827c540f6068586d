import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Checks this host's enrollments for `doctor`, each with the account's identity.
struct EnrollmentCheck {
  let settings: HostSettings

  /// Accepted codes may be this many seconds ahead of the clock.
  private static let longestWindow: Int64 = 600

  let tree = HostTree()

  /// Empty for a process that may not read the register.
  let registered: [UserID]

  let services: [ServiceLogins]

  init(settings: HostSettings, services: [ServiceLogins]) {
    self.settings = settings
    self.services = services
    registered = RegisterCheck(tree: tree).users
  }

  /// Covers accounts that may log in or are registered, and register entries and enrollments without an account.
  func findingsOfAll() -> [Finding] {
    var names = UserAccount.allWithLogin().map(\.nameText)
    guard !settings.isPostgreSQL else { return findingsInDatabase(of: names, isWhole: true) }
    let silent = NameSources(tree: tree).silentSources(among: names)
    var withoutAccount: [UserID] = []
    for user in registered + HostStoreCheck(tree: tree).users.filter({ !registered.contains($0) }) {
      var entry = Account()
      switch entry.find(userID: user) {
      case .found:
        let name = String(decoding: entry.name.bytes)
        if !names.contains(name) { names.append(name) }
      case .unknown where registered.contains(user): withoutAccount.append(user)
      case .unknown: continue
      case .failed: continue
      }
    }
    let finding = RegisterCheck(tree: tree).finding(ofUsersWithoutAccount: withoutAccount)
    let results = results(of: names)
    let remark =
      silent.isEmpty
      ? "" : "; accounts of \(silent.joined(separator: ", ")) are not enumerated: only registered ones were checked"
    return findings(of: results, isWhole: true, remark: remark)
      + [finding].compactMap { $0 } + orphans(missing: results)
  }

  /// Includes the number of enrolled accounts.
  func findings(of names: [String]) -> [Finding] {
    guard !settings.isPostgreSQL else { return findingsInDatabase(of: names, isWhole: false) }
    return findings(of: results(of: names), isWhole: false, remark: "")
  }

  /// The result for one account.
  private struct Result {
    enum Standing: String {
      case enrolled
      case unenrolled
      /// Not enrolled, and has authorized keys for SSH.
      case unenrolledWithKey
      /// Registered, but not enrolled.
      case missing
      case unknown
    }

    let name: String
    var standing = Standing.unknown
    var directory = ""
    /// Nil if unknown.
    var mount: EnrollmentMount?
    var findings: [Finding] = []
  }

  private func results(of names: [String]) -> [Result] {
    let homes = HomeCheck(tree: tree)
    let outcomes = BoundedWork.outcomes(count: names.count) { index in
      let result = examine(names[index], homes)
      return [result.standing.rawValue, result.directory] + SharedFiles.texts(of: result.mount)
        + result.findings.flatMap(\.texts)
    }
    return zip(names, outcomes).map { name, outcome in
      guard case .done(let texts) = outcome, texts.count >= 5 else {
        return Result(name: name, findings: [withoutAnswer(name)])
      }
      let standing = Result.Standing(rawValue: texts[0]) ?? .unknown
      return Result(
        name: name, standing: standing, directory: texts[1],
        mount: SharedFiles.mount(in: texts[2..<5], of: name, isEnrolled: standing == .enrolled),
        findings: Finding.all(in: texts.dropFirst(5)))
    }
  }

  /// `isWhole`: whether the results cover all accounts.
  private func findings(of results: [Result], isWhole: Bool, remark: String) -> [Finding] {
    let enrolled = results.filter { $0.standing == .enrolled }
    let unenrolled = results.filter { $0.standing == .unenrolled || $0.standing == .unenrolledWithKey }.map {
      UnenrolledUser(name: $0.name, hasKey: $0.standing == .unenrolledWithKey)
    }
    let directories = enrolled.map {
      EnrolledDirectory(
        account: $0.name, path: $0.directory, owner: try? UserAccount.existing(named: settings.owner ?? $0.name))
    }
    return [
      .ok("enrollments", "\(enrolled.count) of \(results.count) accounts that may log in are enrolled\(remark)")
    ] + results.flatMap(\.findings) + sharedFindings(of: results) + labelFindings(of: directories)
      + UnenrolledCheck(tree: tree, services: services)
      .findings(of: unenrolled, enrolled: isWhole ? enrolled.count : nil)
  }

  private func sharedFindings(of results: [Result]) -> [Finding] {
    let (check, mounts) = (SharedFilesCheck(tree: tree, settings: settings), results.compactMap(\.mount))
    let tests = SharedFiles.tests(of: check.tested(mounts), settings: settings)
    return check.findings(of: mounts, tests: tests)
  }

  /// Times out, because the owner of an enrollment could mount a file system there that does not answer.
  private func orphans(missing results: [Result]) -> [Finding] {
    let missing = results.filter { $0.standing == .missing }.map(\.name)
    let outcomes = BoundedWork.outcomes(count: 1) { _ in
      OrphanCheck.findings(
        in: tree, settings, missing: missing, isAccount: { (try? UserAccount.existing(named: $0)) != nil },
        isUserID: Self.mayExist
      ).flatMap(\.texts)
    }
    guard case .done(let texts)? = outcomes.first else { return [] }
    return Finding.all(in: texts[...])
  }

  /// Returns true if the user database cannot be read.
  private static func mayExist(_ user: UserID) -> Bool {
    var entry = Account()
    if case .unknown = entry.find(userID: user) { return false }
    return true
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

  /// Accesses the account's directories with its identity, because even stat(2) would follow symlinks that the account
  /// exchanges meanwhile.
  private func examine(_ name: String, _ homes: HomeCheck) -> Result {
    var result = Result(name: name)
    guard let account = try? UserAccount.existing(named: name) else { return result }
    let enrollments = TreeEnrollment(tree: tree, settings: settings)
    if !settings.isHostStore, let obstacle = enrollments.misplaced(TreeAccount(account)) {
      result.findings = [.enrollment(name, obstacle)]
      return result
    }
    let store: EnrollmentStore
    do {
      store = try EnrollmentStore(account: account, settings: settings)
    } catch {
      result.findings = [.skipped("enrollment", "\(name): \(Self.words(error))")]
      return result
    }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do {
      // Any other access to the path could block forever.
      if let failure = store.fuseFailure {
        result.findings = [Self.onFUSE(name, failure, store.directory)]
        return result
      }
      do throws(Errno) {
        try identity.assume(store.keeper, at: store.directory)
      } catch {
        throw SetupError(.notPermitted, "cannot act as \(store.keeper.nameText): \(error.text)")
      }
      switch try store.standing() {
      case .absent:
        if let obstacle = asUser(account, { enrollments.misplaced(TreeAccount(account)) }) ?? nil {
          result.standing = .missing
          result.findings = [.enrollment(name, obstacle)]
          return result
        }
        result.mount = SharedFiles.mount(of: store, isEnrolled: false)
        guard registered.contains(account.entry.userID), !store.isProvenAbsent else {
          result.standing = hasKey(account) ? .unenrolledWithKey : .unenrolled
          if store.isBelowHome {
            result.findings = [homes.finding(of: TreeAccount(account), isEnrolled: false)].compactMap { $0 }
          }
          return result
        }
        let missing = enrollments.missing(TreeAccount(account), store.directory)
        result.standing = .missing
        result.findings = [.enrollment(name, missing)]
      case .enrolled:
        (result.standing, result.directory) = (.enrolled, store.directory)
        result.mount = SharedFiles.mount(of: store, isEnrolled: true)
        result.findings = homeFindings(of: store, homes)
        do {
          result.findings += try findings(of: store, name)
        } catch {
          result.findings.append(unusable(name, Self.words(error)))
        }
      case .unusable(let failure):
        (result.standing, result.directory) = (.enrolled, store.directory)
        if case .unusable(let obstacles) = files(of: store) {
          result.findings = obstacles.map { .enrollment(name, $0) }
        } else {
          result.findings = [unusable(name, SetupError(failure, directory: store.directory).message)]
        }
      }
    } catch let error as SetupError where store.helper != nil && error.status == .unusableData {
      result.findings = [unusable(name, error.message)]
    } catch {
      result.findings = [refusal(store, Self.words(error), homes)]
    }
    return result
  }

  /// The finding about a home, or a directory of the path, that logins do not trust. `message`: that of the module.
  private func refusal(_ store: EnrollmentStore, _ message: String, _ homes: HomeCheck) -> Finding {
    let name = store.account.nameText
    if homes.isOfUserAlone(store.account.homeText), let finding = homes.finding(of: TreeAccount(store.account)) {
      return finding
    }
    let way = TreeEnrollment(tree: tree, settings: settings)
      .way(of: TreeAccount(store.account), to: store.directory, isBelowHome: store.isBelowHome)
    switch way {
    case .refusedAtHome(let obstacle): return .home(name, obstacle)
    case .refused(let obstacle): return .enrollment(name, obstacle)
    case .absent, .present: break
    }
    // HostStoreCheck reports the parents of the host store.
    if settings.isHostStore { return .skipped("enrollment", "\(name): \(message)") }
    let remedy =
      "let only root and \(store.keeper.nameText) write to the directories of the path, or \(TreeEnrollment.outsideHomes)"
    return .home(name, TreeEnrollment.Obstacle(message, remedy: remedy))
  }

  /// Whether the account has the usual file of authorized keys (sshd(8)).
  func hasKey(_ account: UserAccount) -> Bool {
    asUser(account) { tree.ownStatus(of: account.homeText + UnenrolledUser.keys) != nil } ?? false
  }

  /// Nil if this process cannot assume the account's identity.
  private func asUser<Value>(_ account: UserAccount, _ body: () -> Value) -> Value? {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard (try? identity.assume(account.entry)) != nil else { return nil }
    return body()
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
    let keeper = store.keeper.entry.userID
    let isOfUser =
      store.isBelowHome || settings.isHostStore || settings.owner != nil
      || tree.ownStatus(of: store.directory)?.owner == keeper
    return TreeEnrollment(tree: tree, settings: settings)
      .files(of: TreeAccount(store.account), in: store.directory, isOpenedAsUser: keeper != .root && isOfUser)
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
          remedy: renewal(name)))
    }
    return findings + self.findings(of: try store.status(now: SystemClock.now, mending: false), name)
  }

  private func renewal(_ name: String) -> String {
    settings.isSelfService ? "ask \(name) to run: twofactor backup-codes" : "twofactor backup-codes --user \(name)"
  }

  /// Findings about the use of an enrollment.
  func findings(of status: EnrollmentStatus, _ name: String) -> [Finding] {
    var findings: [Finding] = []
    let now = SystemClock.now
    if let last = status.lastUsedAt, last > now + Self.longestWindow {
      findings.append(
        .failed(
          "clock",
          "\(name) logged in at \(Timestamp(seconds: last).readable), which is in the future: the clock was set back, "
            + "and codes are refused until that time",
          remedy: ClockCheck.remedy))
    }
    if status.hasFewBackupCodes {
      findings.append(
        .warning(
          "backup_codes", "\(name) has \(status.backupCodesLeft) backup codes left",
          remedy: renewal(name)))
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
