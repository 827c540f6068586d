import Enrollment
import FixedMemory
import Glibc

/// Looks at the enrolments on this host, as a login of each account would.
struct EnrollmentCheck {
  let settings: HostSettings

  /// Fewer backup codes than these are few.
  static let fewBackupCodes = 3

  /// What there is to say of the accounts: of each enrolment, of each home that stands in the way, and how many there are.
  func findings(of names: [String]) -> [Finding] {
    var findings: [Finding] = []
    var enrolled = 0
    for name in names {
      guard let account = try? Account.existing(named: name) else { continue }
      do {
        let store = try EnrollmentStore(account: account, settings: settings)
        switch try store.standing() {
        case .absent: continue
        case .enrolled:
          enrolled += 1
          do {
            findings += try self.findings(of: store, name)
          } catch {
            findings.append(broken(name, (error as? SetupError)?.message ?? "cannot be read"))
          }
        case .unusable(let failure):
          enrolled += 1
          let error = SetupError(failure, directory: store.directory)
          findings.append(broken(name, error.message))
        }
      } catch {
        findings.append(unreachable(name, account, (error as? SetupError)?.message ?? "cannot be read"))
      }
    }
    return [.ok("enrollments", "\(enrolled) of \(names.count) accounts that may log in are enrolled")] + findings
  }

  private func broken(_ name: String, _ message: String) -> Finding {
    .failed(
      "enrollment", "\(name) cannot log in: \(message)",
      remedy: "mend owner and mode, or make a new one: twofactor enable --force --user \(name)")
  }

  /// Somebody whose home says nothing. That is not proof of anything, so it is a refusal.
  private func unreachable(_ name: String, _ account: Account, _ message: String) -> Finding {
    .warning(
      "home", "\(name) cannot log in, enrolled or not: \(message)",
      remedy: "mend the home \(account.homeText), or keep enrolments outside the homes with directory=")
  }

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
      return findings + [broken(name, "\(directory)/state is open to others")]
    }
    let status = try store.status(now: SystemClock.now)
    if status.backupCodes > 0, status.backupCodesLeft < Self.fewBackupCodes {
      findings.append(
        .warning(
          "backup_codes", "\(name) has \(status.backupCodesLeft) backup codes left",
          remedy: "have \(name) run: twofactor backup-codes"))
    }
    if status.isLocked {
      findings.append(
        .warning(
          "throttling", "\(name) is locked after \(status.failures) wrong codes, until a backup code is used",
          remedy: "twofactor unlock --user \(name)"))
    }
    return findings
  }
}
