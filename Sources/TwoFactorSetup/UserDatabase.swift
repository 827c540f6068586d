import Glibc

/// The user database of the host, passwd(5) and whatever else nsswitch.conf(5) names.
enum UserDatabase {
  /// Shells that end a login at once.
  private static let closed: Set<String> = ["nologin", "false", "sync", "halt", "shutdown"]

  /// The names of all accounts whose shell lets them log in, each once, in the order of the database.
  static func namesWithLogin() -> [String] {
    var names: [String] = []
    var seen: Set<String> = []
    setpwent()
    defer { endpwent() }
    while let entry = unsafe getpwent() {
      guard let name = unsafe entry.pointee.pw_name else { continue }
      let shell = unsafe entry.pointee.pw_shell.map { unsafe String(cString: $0) } ?? ""
      guard !closed.contains(String(shell.split(separator: "/").last ?? "")) else { continue }
      let text = unsafe String(cString: name)
      if seen.insert(text).inserted { names.append(text) }
    }
    return names
  }
}
