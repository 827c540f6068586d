import Enrollment
import Glibc
import HostAccess
import Verification

/// The output of `status`. Contains no secret.
struct EnrollmentStatus {
  let user: String
  /// A path, or ``EnrollmentStore/database``.
  let directory: String
  /// Unix time, as all times here; nil if not enrolled.
  var enabledAt: Int64?
  var devices: [DeviceStatus] = []
  var backupCodes = 0
  var backupCodesLeft = 0
  /// The setting of crypt(5) for the backup codes; empty without backup codes.
  var backupCodeSetting = ""
  var lastUsedAt: Int64?
  var failures: UInt32 = 0
  var throttling = Throttling.no

  /// Whether the user should create new backup codes. False if the enrollment was created without any.
  var hasFewBackupCodes: Bool { backupCodes > 0 && backupCodesLeft < 3 }

  /// 9999-12-31T23:59:59Z, the last time in RFC 3339.
  private static let endOfTime: Int64 = 253_402_300_799

  /// The end of throttling. For a lockout, which has no end, a time that is always in the future.
  private var lockedUntil: Int64? {
    switch throttling {
    case .no: nil
    case .until(let moment): moment
    case .locked: Self.endOfTime
    }
  }

  /// Calls `services` if two-factor is on.
  func json(services: () -> UserServices?) -> JSONValue {
    .object([
      ("user", .string(user)),
      ("enabled", .bool(enabledAt != nil)),
      ("directory", .string(directory)),
      ("devices", .array(devices.map(\.json))),
      ("backup_codes_left", .number(Int64(backupCodesLeft))),
      ("failures", .number(Int64(failures))),
      ("locked_until", .time(lockedUntil)),
      ("services", enabledAt == nil ? .array([]) : services()?.json ?? .null),
    ])
  }

  /// `hint` is for a user who is not enrolled.
  func text(now: Int64, services: () -> UserServices, columns: Int?, hint: String) -> String {
    guard let enabledAt else {
      return "Two-factor is off for \(user.printable).\n\(hint.prefix(1).uppercased() + hint.dropFirst())\n"
    }
    var text = "Two-factor is on for \(user.printable) since \(Timestamp(seconds: enabledAt).readable).\n\n"
    for device in devices {
      let used = device.lastUsedAt.map { "last used \(Timestamp(seconds: $0).readable)" } ?? "not used yet"
      text += "Device:        \(device.name.printable) (\(device.description)), \(used)\n"
    }
    text += "Backup codes:  \(backupCodesLeft) of \(backupCodes) left\n"
    let last = lastUsedAt.map { Timestamp(seconds: $0).readable } ?? "never"
    text += "Last used:     \(last)\n"
    text += "Failed codes:  \(failures)\(consequence(now: now))\n"
    text += services().statusLines(columns: columns)
    text +=
      directory == EnrollmentStore.database ? "Store:         PostgreSQL\n" : "Files:         \(directory.printable)\n"
    if backupCodesLeft == 0 {
      text += "\nNo backup codes are left. Create new ones with: twofactor backup-codes\n"
    }
    return text
  }

  private func consequence(now: Int64) -> String {
    switch throttling {
    case .no: ""
    case .until(let moment): ", try again in \(moment - now) seconds"
    case .locked: ", locked until a backup code is used or root runs twofactor unlock"
    }
  }
}

extension EnrollmentStore {
  /// The command that enrolls the account. `option` is `--user` with its name, if root gave it.
  func enrollmentHint(_ option: String) -> String {
    settings.isSelfService || geteuid() == 0
      ? "switch it on with: twofactor enable\(option)"
      : "only root can switch it on: twofactor enable --user \(account.nameText.printable)"
  }

  /// With `mending`, recreates a lost state.
  func status(now: Int64, mending: Bool = true) throws -> EnrollmentStatus {
    var status = EnrollmentStatus(user: account.nameText, directory: directory)
    try requireForce()
    if let helper { return try helper.report() ?? status }
    if case .absent = try standing() { return status }
    try read(mending: mending) { credential, state in
      status.enabledAt = credential.enabledAt
      for index in 0..<credential.deviceCount {
        if let device = DeviceStatus(of: credential, at: index, state: state) { status.devices.append(device) }
      }
      status.backupCodes = credential.backupCodeCount
      status.backupCodesLeft = state.backupCodesLeft(of: credential)
      status.backupCodeSetting = String(decoding: credential.backupCodeSetting())
      status.lastUsedAt = state.lastUsedAt > 0 ? state.lastUsedAt : nil
      status.failures = state.failures
      status.throttling = Throttling(state, limits: settings.limits, now: now)
    }
    return status
  }
}
