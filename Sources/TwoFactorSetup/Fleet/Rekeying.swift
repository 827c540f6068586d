import Glibc
import HostAccess
import HostDoctor

/// The steps of changing the sealing key of a group. In each step, a host with the key file of the previous step can
/// open all enrollments:
///
/// 1. A new key opens, but does not seal.
/// 2. The new key seals, and the old ones open. Meanwhile, other hosts may still seal with the old one.
/// 3. When all hosts seal with the new key, the old ones are removed.
struct Rekeying {
  private let report: FleetReport

  /// How many rows one request seals: few enough that logins wait only briefly.
  private static let batch: UInt64 = 32

  /// How often a batch is retried if a login, or a host that hangs, keeps a row locked.
  private static let tries = 5

  struct Result {
    let report: FleetReport
    let resealed: Int
    let text: String

    var json: JSONValue {
      .object([
        ("group", .string(report.group)), ("file", .string(report.keyFile)), ("keys", report.keysJSON),
        ("resealed", .number(Int64(resealed))), ("enrollments", report.enrollments.map { .number(Int64($0)) } ?? .null),
      ])
    }
  }

  init(_ report: FleetReport) { self.report = report }

  func addKey() throws -> Result {
    var file = try SealingKeyFile.open(report.keyFile)
    guard file.waitingLine == nil else {
      throw SetupError(
        .refused, "\(file.path) has a new key already",
        hint: "copy the file to all hosts of the group \(report.group), then run: twofactor fleet rekey")
    }
    let isFirst = file.count == 0
    if isFirst { try requireNoEnrollments() }
    try file.addKey()
    let path = file.path
    let now = try StoreProgram.report()
    let key = (isFirst ? now.keys.first : now.keys.last { $0.isWaiting })?.id ?? ""
    return Result(
      report: now, resealed: 0,
      text: isFirst
        ? """
        The key \(key) of the group \(report.group) is in \(path). It seals all enrollments: keep a copy of
        the file where no copy of the database is kept. Copy it to the other hosts of the group, as it is
        (root:_twofactor, mode 0640).

        """
        : """
        The new key \(key) is in \(path). It opens enrollments, and seals none yet.
        Copy the file to all other hosts of the group \(report.group). Then run here: twofactor fleet rekey

        """)
  }

  /// A host without the key of the group would seal with a key that no other host has.
  private func requireNoEnrollments() throws {
    guard let count = report.enrollments else {
      throw SetupError(
        .inputOutput, "no primary tells whether the group \(report.group) has a key already: \(report.problems)",
        hint: "see: twofactor fleet status")
    }
    guard count == 0 else {
      throw SetupError(
        .refused, "the group \(report.group) has \(count) enrollments, sealed with a key that this host does not have",
        hint: "copy \(report.keyFile) from another host of the group")
    }
  }

  func reseal() throws -> Result {
    try requireRight()
    var file = try SealingKeyFile.open(report.keyFile)
    guard file.count > 0 else {
      throw SetupError(
        .noSuchFile, "\(file.path) has no key", hint: "create the first one: twofactor fleet rekey --add-key")
    }
    if let line = file.waitingLine { try file.useKey(at: line) }
    var (total, others, failures) = (0, 0, 0)
    while true {
      do {
        let (resealed, left) = try StoreProgram.reseal(upTo: Self.batch)
        (total, others, failures) = (total + resealed, left, 0)
        if left == 0 || resealed == 0 { break }
      } catch let error as SetupError where error.status == .inputOutput && failures < Self.tries {
        failures += 1
        sleep(1)
      }
    }
    let now = try StoreProgram.report()
    guard others == 0 else {
      throw SetupError(
        .unusableData,
        "\(others) enrollments are sealed with keys that this host does not have, or are damaged; "
          + "\(total) were sealed again",
        hint: "see: twofactor fleet status; then copy the missing key from another host to a line of \(file.path)")
    }
    let key = now.keys.first?.id ?? ""
    let next =
      now.keys.count > 1
      ? """
      Copy \(file.path) to all other hosts of the group \(report.group), so that they seal with
      this key. Then run here: twofactor fleet rekey --drop-old-keys

      """ : ""
    return Result(
      report: now, resealed: total,
      text:
        "Sealed again: \(total). The key \(key) seals all enrollments of the group: \(now.enrollments ?? total).\n"
        + next)
  }

  func dropOldKeys() throws -> Result {
    var file = try SealingKeyFile.open(report.keyFile)
    guard file.waitingLine == nil else {
      throw SetupError(
        .refused, "\(file.path) has a new key that seals nothing yet", hint: "run first: twofactor fleet rekey")
    }
    guard report.enrollments != nil else {
      throw SetupError(
        .inputOutput, "no primary tells which keys seal enrollments: \(report.problems)",
        hint: "see: twofactor fleet status")
    }
    let others = report.otherwiseSealed.values.reduce(0, +)
    guard others == 0 else {
      throw SetupError(
        .refused, "\(others) enrollments are still sealed with other keys than the first",
        hint: "run first: twofactor fleet rekey")
    }
    let isNeeded = file.count > 1
    if isNeeded { try file.dropOldKeys() }
    let path = file.path
    return Result(
      report: try StoreProgram.report(), resealed: 0,
      text: isNeeded
        ? """
        \(path) has only the key \(report.keys.first?.id ?? "") now.
        Copy the file to all other hosts of the group \(report.group).

        """ : "\(path) has no old keys.\n")
  }

  private func requireRight() throws {
    guard let primary = report.primary else {
      throw SetupError(.inputOutput, "no server is a primary: \(report.problems)", hint: "see: twofactor fleet status")
    }
    guard primary.rights.contains("enrollment") else {
      throw SetupError(
        .notPermitted, "\(report.role) may not change credentials",
        hint: "run it on a host of the group \(report.group) whose role is a member of twofactor_enrollment")
    }
  }
}

extension FleetReport {
  /// Why no server is a primary.
  var problems: String {
    servers.map { "\($0.name): \($0.problem ?? ($0.isInRecovery == true ? "is a standby" : "no answer"))" }
      .joined(separator: "; ")
  }

  var keysJSON: JSONValue {
    .array(
      keys.enumerated().map { index, key in
        .object([("id", .string(key.id)), ("seals", .bool(index == 0)), ("waiting", .bool(key.isWaiting))])
      })
  }
}
