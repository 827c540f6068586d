import HostAccess
import HostDoctor
import SystemFiles

/// The state of this host for Prometheus. Contains no user names, because every scraper can read it.
struct HostMetrics {
  /// Every sample is a gauge.
  struct Family {
    let name: String
    let help: String
    var samples: [Sample] = []
  }

  struct Sample {
    let labels: [(name: String, value: String)]
    let value: Int64
  }

  let families: [Family]

  /// `users` is nil if the list cannot be read: `accounts`, the number of accounts, then counts as unknown.
  init(users: [UserCondition]?, accounts: Int, findings: [Finding], now: Int64) {
    let known = users ?? Array(repeating: UserCondition(), count: accounts)
    families = [
      Family(
        "twofactor_build_info", "The version of the command; the value is 1.", [(["version": Version.current], 1)]),
      Family(
        "twofactor_accounts",
        "Accounts that can log in, by state. Missing: registered as enrolled, but the enrollment is absent, so logins "
          + "are refused. Unknown: the enrollment cannot be read.",
        UserCondition.Standing.allCases.map { standing in
          (["state": standing.rawValue], known.count { $0.standing == standing })
        }),
      Family(
        "twofactor_throttled_accounts", "Accounts whose codes are refused after failed codes, locked ones included.",
        [([:], known.count(where: \.isThrottled))]),
      Family(
        "twofactor_locked_accounts", "Accounts that are locked until a backup code is used or root unlocks them.",
        [([:], known.count(where: \.isLocked))]),
      Family(
        "twofactor_low_backup_codes_accounts", "Accounts with fewer than three backup codes left.",
        [([:], known.count(where: \.hasFewBackupCodes))]),
      Family("twofactor_doctor_findings", "Findings of twofactor doctor, by check and status.", Self.counts(findings)),
      Family(
        "twofactor_doctor_exit_status", "The exit status of twofactor doctor: 0, or 78 if a check failed.",
        [([:], Int(DoctorCommand.exitStatus(of: findings).rawValue))]),
      Family(
        "twofactor_metrics_timestamp_seconds", "When these metrics were written, in seconds since the epoch.",
        [([:], Int(now))]),
    ]
  }

  /// Every check has a sample for each status, so that a series goes to 0 instead of ending.
  private static func counts(_ findings: [Finding]) -> [(KeyValuePairs<String, String>, Int)] {
    let statuses: [Finding.Status] = [.failed, .warning, .ok, .skipped]
    return Set(findings.map(\.name)).sorted().flatMap { name in
      statuses.map { status in
        (["check": name, "status": status.rawValue], findings.count { $0.name == name && $0.status == status })
      }
    }
  }

  /// The text exposition format of Prometheus, version 0.0.4.
  var text: String {
    families.map { family in
      "# HELP \(family.name) \(Self.escaped(family.help))\n# TYPE \(family.name) gauge\n"
        + family.samples.map { "\(family.name)\(Self.text(of: $0.labels)) \($0.value)\n" }.joined()
    }.joined()
  }

  var json: JSONValue {
    .object([
      (
        "metrics",
        .array(
          families.map { family in
            .object([
              ("name", .string(family.name)), ("type", .string("gauge")), ("help", .string(family.help)),
              (
                "samples",
                .array(
                  family.samples.map { sample in
                    .object([
                      ("labels", .object(sample.labels.map { ($0.name, .string($0.value)) })),
                      ("value", .number(sample.value)),
                    ])
                  })
              ),
            ])
          })
      )
    ])
  }

  private static func text(of labels: [(name: String, value: String)]) -> String {
    guard !labels.isEmpty else { return "" }
    let pairs = labels.map { name, value in
      let quoted = escaped(value).split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\"")
      return "\(name)=\"\(quoted)\""
    }
    return "{\(pairs.joined(separator: ","))}"
  }

  /// Escapes backslash and line feed.
  private static func escaped(_ text: String) -> String {
    text.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
      .split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
  }
}

extension HostMetrics.Family {
  fileprivate init(_ name: String, _ help: String, _ samples: [(labels: KeyValuePairs<String, String>, value: Int)]) {
    self.init(
      name: name, help: help,
      samples: samples.map { labels, value in
        HostMetrics.Sample(labels: labels.map { ($0.key, $0.value) }, value: Int64(value))
      })
  }
}

extension HostMetrics {
  /// Examines this host, as root.
  static func measured() -> HostMetrics {
    let tree = HostTree()
    let findings = DoctorCommand.findings(of: tree, ServiceSurvey(tree: tree).services)
    let users = try? UserList(of: nil, withServices: false).users.map(\.condition)
    return HostMetrics(
      users: users, accounts: users?.count ?? UserAccount.allWithLogin().count, findings: findings,
      now: SystemClock.now)
  }
}
