import ArgumentParser
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// Values that the shell completes. The shell runs the command with the words typed so far: it asks nothing, shows no
/// secrets, and ignores all errors.
extension CompletionKind {
  static let accounts = CompletionKind.custom { _, _, _ in quoted(UserAccount.allWithLogin().map(\.nameText)) }

  static let services = CompletionKind.custom { _, _, _ in
    // SAFETY: a literal is NUL-terminated.
    guard let folder = try? unsafe OpenFile.following(Literal("/etc/pam.d").cString, for: .directory),
      var names = try? folder.names()
    else { return [] }
    var services: [String] = []
    while let name = names.next() { services.append(String(decoding: name.bytes)) }
    return quoted(services.filter { !$0.contains(".") && !$0.hasSuffix("~") && !$0.hasPrefix("common-") }.sorted())
  }

  /// Of the calling user, or of `--user` if root completes.
  static let devices = CompletionKind.custom { words, _, _ in
    let user = userOption(words)
    guard user == nil || geteuid() == 0,
      let session = try? Session(user: user, json: true, subcommand: "device list", changesRegister: false),
      let status = try? session.store.status(now: SystemClock.now)
    else { return [] }
    return quoted(status.devices.map(\.name))
  }

  /// bash splits `--user=NAME` at the sign.
  private static func userOption(_ words: [String]) -> String? {
    guard let option = words.firstIndex(where: { $0 == "--user" || $0.hasPrefix("--user=") }) else { return nil }
    if words[option] != "--user" { return String(words[option].dropFirst("--user=".count)) }
    return words.dropFirst(option + 1).first { $0 != "=" }
  }

  /// Only printable candidates, quoted for the shell: users choose the names of their devices, and root completes them.
  private static func quoted(_ names: [String]) -> [String] {
    names.filter { !$0.isEmpty && $0.printable == $0 }.compactMap { name in
      switch CompletionShell.requesting {
      case .bash:
        // compgen expands the candidates: `$(…)` in one would run. readline inserts these two characters without
        // quotes, so a command in them would run on Enter.
        name.contains { $0 == "$" || $0 == "`" } ? nil : "'" + name.replacing("'", with: "'\\''") + "'"
      // What follows a colon would be a description.
      case .zsh: name.replacing("\\", with: "\\\\").replacing(":", with: "\\:")
      default: name
      }
    }
  }
}
