import Enrollment
import Glibc
import HostAccess
import LoginPolicy
import SystemFiles

/// Checks the store on PostgreSQL: its program and files on this host, and, as root, the servers.
package struct PostgreSQLCheck {
  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  private static let name = "postgresql"
  private static let key = "/etc/security/twofactor-sealing.key"
  private static let refusal = "logins with a code are refused"

  /// Empty if neither the file nor a rule selects the store.
  func findings(of rules: [PAMRule]) -> [Finding] {
    let options = ([tree.options(in: HostSettings.path)] + rules.map(tree.options(of:))).compactMap { $0 }
      .filter(\.isPostgreSQL)
    guard !options.isEmpty else { return [] }
    let problems = [program, file(StoreProgram.settings), file(Self.key)].compactMap { $0 }
    guard problems.isEmpty else { return problems }
    let found = Finding.ok(Self.name, "the program and its files have the right owner and mode")
    guard tree.isThisHost else { return [found, .skipped("postgresql_servers", "a tree has no servers")] }
    guard geteuid() == 0 else {
      return [found, .skipped("postgresql_servers", "only root can ask the servers: twofactor fleet status")]
    }
    return [found] + serverFindings(options)
  }

  private func serverFindings(_ options: [EffectiveOptions]) -> [Finding] {
    do {
      let window = options.map(\.limits.window).min() ?? 1
      let check = try FleetCheck(
        StoreProgram.report(), window: Int64(clamping: window) * 30,
        enrollsAtLogin: options.contains { $0.enrollment != .no }, now: SystemClock.now)
      return check.findings
    } catch {
      let failure = error as? SetupError
      return [
        .failed(
          Self.name, "\(failure?.message ?? "\(StoreProgram.name) failed"): \(Self.refusal)",
          remedy: failure?.hint ?? "correct it, then run: twofactor fleet status")
      ]
    }
  }

  // MARK: Files

  private var program: Finding? {
    guard let path = HelperProgram.storePaths.first(where: { tree.ownStatus(of: $0) != nil }),
      let status = tree.ownStatus(of: path)
    else {
      return .failed(
        Self.name, "\(StoreProgram.name) is not installed: \(Self.refusal)",
        remedy: "install the package \(StoreProgram.name)")
    }
    guard status.isRegularFile, status.owner == tree.administrator, status.mode & 0o6133 == 0o0111 else {
      return .failed(
        Self.name, "\(path) does not have the owner root and the mode 755: \(Self.refusal)",
        remedy: "chown root:root \(path) && chmod 755 \(path)")
    }
    return nil
  }

  /// A file that the helper reads with its group, and other users may not read.
  private func file(_ path: String) -> Finding? {
    guard let status = tree.status(of: path) else {
      let creation =
        path == Self.key
        ? "copy it from another host of the group, or create the first key:\ntwofactor fleet rekey --add-key"
        : "write it: see postgresql.md in /usr/share/doc/twofactor"
      return path == Self.key && tree.exists(StoreProgram.settings) && names(otherKey: tree)
        ? nil : .failed(Self.name, "\(path) does not exist: \(Self.refusal)", remedy: creation)
    }
    let group = ClosedDirectory(
      tree: tree, check: Self.name, path: path, isOfEnrollments: true, refusal: "", isolation: ""
    ).groupID
    let remedy = "chown root:\(ClosedDirectory.group) \(path) && chmod 640 \(path)"
    guard status.isRegularFile, status.owner == tree.administrator, !status.isWritableByOthers else {
      return .failed(Self.name, "others than root can write \(path): \(Self.refusal)", remedy: remedy)
    }
    guard status.mode & 0o007 == 0 else {
      return .failed(Self.name, "\(path) is readable by every user: \(Self.refusal)", remedy: remedy)
    }
    guard status.mode & 0o070 == 0 || status.group == group || status.group.rawValue == 0 else {
      return .failed(
        Self.name, "\(path) is readable by another group than \(ClosedDirectory.group): \(Self.refusal)", remedy: remedy
      )
    }
    guard status.group == group, status.mode & 0o040 != 0 else {
      return .failed(
        Self.name,
        "\(path) is not readable by the group \(ClosedDirectory.group): users cannot change their enrollments, and "
          + "programs that do not run as root refuse everyone", remedy: remedy)
    }
    return nil
  }

  /// Whether the settings name another file for the sealing keys, or cannot be read.
  private func names(otherKey tree: HostTree) -> Bool {
    guard let text = tree.text(of: StoreProgram.settings) else { return true }
    return HostTree.lines(text).contains { line in
      let parts = line.split(separator: "=", maxSplits: 1)
      return parts.count == 2 && parts[0].trimmingBlanks == "sealing_key" && parts[1].trimmingBlanks != Self.key
    }
  }
}
