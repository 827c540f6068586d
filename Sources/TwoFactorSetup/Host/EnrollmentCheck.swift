import Enrollment
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Checks the enrollments on this host with the rights of each account, for `doctor`.
struct EnrollmentCheck {
  let settings: HostSettings

  private static let fewBackupCodes = 3

  /// An accepted code may be this many seconds ahead of the clock.
  private static let longestWindow: Int64 = 600

  private let tree = HostTree()

  /// The users in the register; empty for a process that may not read it.
  private let registered: [UserID]

  init(settings: HostSettings) {
    self.settings = settings
    registered = RegisterCheck(tree: tree).users
  }

  /// The findings for all accounts that may log in or are registered, and for register entries without an account.
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

  /// The findings for each account and the number of enrolled accounts.
  func findings(of names: [String]) -> [Finding] {
    let homes = HomeCheck(tree: tree)
    var findings: [Finding] = []
    var enrolled: [EnrolledDirectory] = []
    for name in names {
      guard let account = try? UserAccount.existing(named: name) else { continue }
      do {
        let store = try EnrollmentStore(account: account, settings: settings)
        switch try store.standing() {
        case .absent:
          guard registered.contains(account.entry.userID) else { continue }
          let missing = TreeEnrollment(tree: tree, settings: settings).missing(TreeAccount(account), store.directory)
          findings.append(.enrollment(name, missing))
        case .enrolled:
          enrolled.append(EnrolledDirectory(account: name, path: store.directory))
          findings += homeFindings(of: store, homes)
          do {
            findings += try self.findings(of: store, name)
          } catch {
            findings.append(unusable(name, Self.words(error)))
          }
        case .unusable(let failure):
          enrolled.append(EnrolledDirectory(account: name, path: store.directory))
          let obstacles = obstacles(of: store)
          findings +=
            obstacles.isEmpty
            ? [unusable(name, SetupError(failure, directory: store.directory).message)]
            : obstacles.map { .enrollment(name, $0) }
        }
      } catch {
        let obstacle =
          TreeEnrollment(tree: tree, settings: settings).homeObstacle(TreeAccount(account))
          ?? TreeEnrollment.Obstacle(
            Self.words(error),
            remedy: "let only root and \(name) write to the directories of the path, or \(TreeEnrollment.outsideHomes)")
        findings.append(.home(name, obstacle))
      }
    }
    findings += SELinuxCheck(tree: tree).findings(of: enrolled)
    return [.ok("enrollments", "\(enrolled.count) of \(names.count) accounts that may log in are enrolled")] + findings
  }

  /// Warnings about the home of an enrolled account, examined with the account's file-system identity.
  private func homeFindings(of store: EnrollmentStore, _ homes: HomeCheck) -> [Finding] {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard store.isBelowHome, (try? store.open(&identity)) != nil else { return [] }
    return homes.finding(of: TreeAccount(store.account)).map { [$0] } ?? []
  }

  /// Why every login of the account fails, examined with the account's file-system identity: the owner can exchange a
  /// file between check and use.
  private func obstacles(of store: EnrollmentStore) -> [TreeEnrollment.Obstacle] {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    guard (try? store.open(&identity)) != nil else { return [] }
    return TreeEnrollment(tree: tree, settings: settings)
      .obstacles(of: TreeAccount(store.account), in: store.directory)
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
    // Before the store is read, which would recreate a lost state: that is left to the next login.
    let state = tree.ownStatus(of: directory + "/state")
    guard let state, state.isRegularFile, state.size > 0 else {
      return findings + [
        .warning(
          "enrollment",
          "\(name): \(directory)/state is missing or empty: codes are refused until the current ones have expired",
          remedy: "if logins still fail after a few minutes: twofactor enable --force --user \(name)")
      ]
    }
    guard state.mode & 0o077 == 0 else {
      return findings + [
        .enrollment(
          name,
          TreeEnrollment.Obstacle("\(directory)/state is accessible by others", remedy: "chmod 600 \(directory)/state"))
      ]
    }
    let now = SystemClock.now
    let status = try store.status(now: now)
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
