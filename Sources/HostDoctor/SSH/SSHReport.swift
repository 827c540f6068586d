import Glibc
import HostAccess

/// The settings as `sshd -T` reports them.
enum SSHReport {
  private static let programs = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]

  case settings([SSHKeyword: String])
  case rejected(String)
  /// Not installed, or cannot report.
  case unavailable

  static func ask(_ login: SSHConnection) -> SSHReport {
    // sshd reads the host keys, which needs root.
    // SAFETY: the string is NUL-terminated.
    guard geteuid() == 0, let program = programs.first(where: { unsafe access($0, X_OK) == 0 }),
      let run = try? ProgramRun(program, ["-T", "-C", login.specification], outputLimit: 1 << 20, timeout: 10)
    else { return .unavailable }
    guard case .exited(let status) = run.end else { return .unavailable }
    guard status == 0 else {
      let words = run.output.split(separator: "\n").last.map(String.init) ?? ""
      // They may be missing until the service has started once.
      if words.contains("privilege separation directory") || words.contains("no hostkeys") { return .unavailable }
      return .rejected(words)
    }
    return .settings(values(in: run.output))
  }

  static func values(in output: String) -> [SSHKeyword: String] {
    var values: [SSHKeyword: String] = [:]
    for line in output.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard let keyword = SSHKeyword(words[0]), values[keyword] == nil else { continue }
      values[keyword] = keyword.value(of: Array(words.dropFirst()))
    }
    return values
  }
}
