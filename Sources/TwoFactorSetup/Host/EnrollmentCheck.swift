import Enrollment
import FixedMemory
import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Looks at the enrolments on this host, as a login of each account would.
struct EnrollmentCheck {
  let settings: HostSettings

  /// Fewer backup codes than these are few.
  static let fewBackupCodes = 3

  /// How far a code that was accepted may lie ahead of the clock, in seconds.
  private static let longestWindow: Int64 = 600

  /// What there is to say of the accounts: of each enrolment, of each home that stands in the way, and how many there are.
  func findings(of names: [String]) -> [Finding] {
    var findings: [Finding] = []
    var enrolled: [EnrolledDirectory] = []
    let files = TreeEnrollment(tree: HostTree(), settings: settings)
    for name in names {
      guard let account = try? UserAccount.existing(named: name) else { continue }
      do {
        let store = try EnrollmentStore(account: account, settings: settings)
        switch try store.standing() {
        case .absent: continue
        case .enrolled:
          enrolled.append(EnrolledDirectory(account: name, path: store.directory))
          do {
            findings += try self.findings(of: store, name)
          } catch {
            findings.append(broken(name, Self.words(error)))
          }
        case .unusable(let failure):
          enrolled.append(EnrolledDirectory(account: name, path: store.directory))
          let obstacles = obstacles(files, of: store)
          findings +=
            obstacles.isEmpty
            ? [broken(name, SetupError(failure, directory: store.directory).message)]
            : obstacles.map { .enrollment(name, $0) }
        }
      } catch {
        let obstacle =
          files.homeObstacle(TreeAccount(account))
          ?? TreeEnrollment.Obstacle(
            Self.words(error),
            remedy: "let root and \(name) alone write on the way there, or keep enrolments outside the homes: "
              + "directory = /var/lib/twofactor/%u, in \(HostSettings.path)")
        findings.append(.home(name, obstacle))
      }
    }
    findings += SELinuxCheck(tree: HostTree()).findings(of: enrolled)
    return [.ok("enrollments", "\(enrolled.count) of \(names.count) accounts that may log in are enrolled")] + findings
  }

  /// What no login gets past, looked at with the rights that a login has there: the owner may put something else in the
  /// place of a file between one look at it and the next.
  private func obstacles(_ files: TreeEnrollment, of store: EnrollmentStore) -> [TreeEnrollment.Obstacle] {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do {
      _ = try store.open(&identity)
    } catch {
      return []
    }
    return files.obstacles(of: TreeAccount(store.account))
  }

  private func broken(_ name: String, _ message: String) -> Finding {
    .enrollment(
      name, TreeEnrollment.Obstacle(message, remedy: "twofactor enable --force --user \(name)"))
  }

  private static func words(_ error: any Error) -> String { (error as? SetupError)?.message ?? "cannot be read" }

  private func findings(of store: EnrollmentStore, _ name: String) throws -> [Finding] {
    let directory = store.directory
    var findings: [Finding] = []
    if let problem = TreeEnrollment.diskProblem(directory) {
      guard !problem.isFatal else {
        return [
          .failed("file_system", "\(name) cannot log in: \(directory) \(problem.text)", remedy: "mount it writable")
        ]
      }
      findings.append(
        .warning("file_system", "\(directory) \(problem.text): logins work, changes do not", remedy: "make room"))
    }
    // The state is looked at first: reading a broken one makes a new one, and that is for a login to do.
    let tree = HostTree()
    let state = tree.ownStatus(of: directory + "/state")
    guard let state, state.st_mode & S_IFMT == S_IFREG, state.st_size > 0 else {
      return findings + [
        .warning(
          "enrollment",
          "\(name): \(directory)/state is missing or empty: the next codes are refused until their time is over",
          remedy: "twofactor enable --force --user \(name), where it does not mend itself")
      ]
    }
    guard state.st_mode & 0o077 == 0 else {
      return findings + [
        .enrollment(
          name,
          TreeEnrollment.Obstacle("\(directory)/state is open to others", remedy: "chmod 600 \(directory)/state"))
      ]
    }
    let now = SystemClock.now
    let status = try store.status(now: now)
    if let last = status.lastUsedAt, last > now + Self.longestWindow {
      findings.append(
        .failed(
          "clock",
          "\(name) logged in at \(Timestamp(seconds: last).readable), which has not come yet: the clock was set back, "
            + "and codes are refused until it is there again",
          remedy: ClockCheck.remedy))
    }
    if status.backupCodes > 0, status.backupCodesLeft < Self.fewBackupCodes {
      findings.append(
        .warning(
          "backup_codes", "\(name) has \(status.backupCodesLeft) backup codes left",
          remedy: "have \(name) run: twofactor backup-codes"))
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
