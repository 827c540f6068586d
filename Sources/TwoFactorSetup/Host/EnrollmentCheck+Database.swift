import Glibc
import HostAccess
import HostDoctor
import SystemFiles

/// Findings about enrollments in a database.
extension EnrollmentCheck {
  /// `isWhole`: whether the names are those of all accounts.
  func findingsInDatabase(of names: [String], isWhole: Bool) -> [Finding] {
    let statuses: [String: EnrollmentStatus?]
    do {
      statuses = try self.statuses(of: names)
    } catch {
      // ``PostgreSQLCheck`` reports the cause.
      return [.skipped("enrollments", (error as? SetupError)?.message ?? "the database gave no answer")]
    }
    let enrolled = names.filter { statuses[$0] != nil }
    var findings: [Finding] = [
      .ok("enrollments", "\(enrolled.count) of \(names.count) accounts that may log in are enrolled")
    ]
    for name in enrolled {
      if let status = statuses[name] ?? nil {
        findings += self.findings(of: status, name)
      } else {
        findings.append(
          .enrollment(
            name,
            TreeEnrollment.Obstacle(
              "its row in the database cannot be opened",
              remedy: "see the sealing keys: twofactor fleet status\n"
                + "or, if its key is lost, or the row is damaged: twofactor disable --user \(name)")))
      }
    }
    let others = names.filter { statuses[$0] == nil }.compactMap { try? UserAccount.existing(named: $0) }
    for account in others where registered.contains(account.entry.userID) {
      let name = account.nameText
      findings.append(
        .enrollment(
          name,
          TreeEnrollment.Obstacle(
            "\(name) is registered as enrolled on this host, but not in the database, so logins are refused",
            remedy: "move the enrollment: twofactor move --user \(name) --from home\n"
              + "or, if there is none: twofactor disable --user \(name)")))
    }
    let unenrolled = others.filter { !registered.contains($0.entry.userID) }
      .map { UnenrolledUser(name: $0.nameText, hasKey: hasKey($0)) }
    return findings
      + UnenrolledCheck(tree: tree, services: services)
      .findings(of: unenrolled, enrolled: isWhole ? enrolled.count : nil)
  }

  /// The statuses of enrolled users; a status is nil if the row cannot be opened.
  private func statuses(of names: [String]) throws -> [String: EnrollmentStatus?] {
    guard geteuid() != 0 else {
      return Dictionary(try DatabaseUsers.all().map { ($0.name, $0.status) }) { first, _ in first }
    }
    var statuses: [String: EnrollmentStatus?] = [:]
    for name in names {
      let store = try EnrollmentStore(account: UserAccount.existing(named: name), settings: settings)
      let status = try store.status(now: SystemClock.now, mending: false)
      if status.enabledAt != nil { statuses[name] = status }
    }
    return statuses
  }
}
