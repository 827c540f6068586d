import Glibc
import HostAccess

/// The settings that decide whether sshd asks for a code.
struct SSHSettings {
  struct Setting: Equatable {
    let value: String
    /// `FILE, line N`; nil for sshd's default.
    let place: String?
  }

  private var settings: [String: Setting] = [:]

  private let mainFile: String

  init(mainFile: String) { self.mainFile = mainFile }

  private static let defaults = [
    "usepam": "no", "kbdinteractiveauthentication": "yes", "passwordauthentication": "yes",
    "pubkeyauthentication": "yes", "permitrootlogin": "prohibit-password", "authenticationmethods": "any",
    "gssapiauthentication": "no", "hostbasedauthentication": "no", "pamservicename": "sshd",
    "permitemptypasswords": "no", "usedns": "no",
  ]

  private static let spellings = [
    "usepam": "UsePAM", "kbdinteractiveauthentication": "KbdInteractiveAuthentication",
    "passwordauthentication": "PasswordAuthentication", "permitrootlogin": "PermitRootLogin",
    "authenticationmethods": "AuthenticationMethods", "permitemptypasswords": "PermitEmptyPasswords",
    "usedns": "UseDNS",
  ]

  /// The current name in lower case; nil for keywords without a default above.
  static func keyword(_ word: String) -> String? {
    switch word.lowercased() {
    case "challengeresponseauthentication", "skeyauthentication": "kbdinteractiveauthentication"
    case let word: defaults[word] != nil ? word : nil
    }
  }

  /// sshd uses the first line.
  mutating func take(_ keyword: String, _ setting: Setting) {
    if settings[keyword] == nil { settings[keyword] = setting }
  }

  /// Replaces values from files by those that sshd reports.
  mutating func adopt(_ values: [String: String]) {
    for (keyword, value) in values where Self.defaults[keyword] != nil {
      if settings[keyword]?.value.lowercased() == value.lowercased() { continue }
      let isDefault = Self.defaults[keyword] == value.lowercased()
      settings[keyword] = Setting(value: value, place: isDefault ? nil : settings[keyword]?.place)
    }
  }

  subscript(_ keyword: String) -> Setting {
    settings[keyword] ?? Setting(value: Self.defaults[keyword] ?? "", place: nil)
  }

  func isOn(_ keyword: String) -> Bool { self[keyword].value.lowercased() == "yes" }

  func origin(_ keyword: String) -> String { self[keyword].place ?? "sshd's default" }

  /// Replaces the line of the setting, or inserts one before every `Include` and `Match` of the main file. A drop-in
  /// overrides a vendor's file below /usr.
  func remedy(_ keyword: String, _ value: String) -> String {
    let line = "\(Self.spellings[keyword] ?? keyword) \(value)"
    if let place = self[keyword].place, !place.hasPrefix("/usr/") { return "in \(place): \(line)" }
    let file = mainFile.hasPrefix("/usr/") ? "/etc/ssh/sshd_config.d/00-twofactor.conf" : mainFile
    return Edit.insertBefore(file: file, line: 1, text: line).text
  }

  /// Lists of methods, one of which a login must complete; nil if any method suffices.
  var methods: [[String]]? { Self.methods(in: self["authenticationmethods"].value) }

  static func methods(in value: String) -> [[String]]? {
    let lists = value.split(separator: " ").map(String.init)
    guard !lists.isEmpty, lists != ["any"] else { return nil }
    return lists.map { list in
      list.split(separator: ",").map { String($0.split(separator: ":").first ?? $0).lowercased() }
    }
  }
}

/// The settings as `sshd -T` reports them.
enum EffectiveSSHSettings {
  private static let programs = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]

  /// Unused addresses (RFC 5737) for `Match` criteria.
  private static let connection = "host=unknown.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22"

  enum Answer {
    case settings([String: String])
    case rejected(String)
    /// Not installed, or cannot report.
    case unavailable
  }

  /// For an account; for unknown accounts if nil.
  static func ask(for account: TreeAccount?) -> Answer {
    // sshd reads the host keys, which needs root.
    // SAFETY: the string is NUL-terminated.
    guard geteuid() == 0, let program = programs.first(where: { unsafe access($0, X_OK) == 0 }) else {
      return .unavailable
    }
    let criteria = account.map { ["-C", "user=\($0.name),\(connection)"] } ?? []
    guard let run = try? ProgramRun(program, ["-T"] + criteria, outputLimit: 1 << 20, timeout: 30) else {
      return .unavailable
    }
    guard run.end == .exited(0) else {
      let words = run.output.split(separator: "\n").last.map(String.init) ?? ""
      // sshd creates them when it starts as a server.
      if words.contains("privilege separation directory") || words.contains("no hostkeys") { return .unavailable }
      return .rejected(words)
    }
    var values: [String: String] = [:]
    for line in run.output.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
      if parts.count == 2, values[parts[0]] == nil { values[parts[0]] = parts[1] }
    }
    if values["permitrootlogin"] == "without-password" { values["permitrootlogin"] = "prohibit-password" }
    return .settings(values)
  }
}
