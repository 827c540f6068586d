import Glibc
import HostAccess

/// What sshd itself says that is in force: `sshd -T`.
enum EffectiveSSHSettings {
  private static let programs = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]

  /// Addresses that nobody has (RFC 5737), for criteria of `Match` that ask for one.
  private static let connection = "host=unknown.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22"

  /// What came of asking.
  enum Answer {
    case settings([String: String])
    /// sshd refuses its configuration: its own words.
    case refused(String)
    /// It cannot be asked here.
    case unavailable
  }

  /// Asks for the settings of a login of an account, or of nobody in particular.
  static func ask(for account: TreeAccount?) -> Answer {
    // Only root may read the host's keys, and without them sshd says nothing.
    guard geteuid() == 0, let program = programs.first(where: { unsafe access($0, X_OK) == 0 }) else {
      return .unavailable
    }
    let criteria = account.map { ["-C", "user=\($0.name),\(connection)"] } ?? []
    guard let run = try? ProgramRun(program, ["-T"] + criteria, outputLimit: 1 << 20, timeout: 30) else {
      return .unavailable
    }
    guard run.end == .exited(0) else {
      let words = run.output.split(separator: "\n").last.map(String.init) ?? ""
      // What is missing is not the configuration's fault, and the server makes it when it starts.
      if words.contains("privilege separation directory") || words.contains("no hostkeys") { return .unavailable }
      return .refused(words)
    }
    var values: [String: String] = [:]
    for line in run.output.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      if parts.count == 2, values[parts[0]] == nil { values[parts[0]] = parts[1] }
    }
    // sshd says "without-password" for what its manual calls "prohibit-password".
    if values["permitrootlogin"] == "without-password" { values["permitrootlogin"] = "prohibit-password" }
    return .settings(values)
  }
}
