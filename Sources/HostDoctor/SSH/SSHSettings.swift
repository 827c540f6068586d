/// The settings of sshd that decide whether a code is asked for.
struct SSHSettings {
  /// One setting, and where it comes from.
  struct Setting: Equatable {
    let value: String
    /// `FILE, line N`; nil for sshd's own default.
    let place: String?
  }

  private var settings: [String: Setting] = [:]

  /// The file that sshd reads first.
  private let mainFile: String

  init(mainFile: String) { self.mainFile = mainFile }

  /// What sshd takes where nothing is written (sshd_config(5)).
  private static let defaults = [
    "usepam": "no", "kbdinteractiveauthentication": "yes", "passwordauthentication": "yes",
    "pubkeyauthentication": "yes", "permitrootlogin": "prohibit-password", "authenticationmethods": "any",
    "gssapiauthentication": "no", "hostbasedauthentication": "no", "pamservicename": "sshd",
    "permitemptypasswords": "no",
  ]

  /// How the settings are written in a file.
  private static let spellings = [
    "usepam": "UsePAM", "kbdinteractiveauthentication": "KbdInteractiveAuthentication",
    "passwordauthentication": "PasswordAuthentication", "permitrootlogin": "PermitRootLogin",
    "authenticationmethods": "AuthenticationMethods", "permitemptypasswords": "PermitEmptyPasswords",
  ]

  /// The keyword that stands for this one, or nil for one that does not matter here.
  static func keyword(_ word: String) -> String? {
    switch word.lowercased() {
    case "challengeresponseauthentication", "skeyauthentication": "kbdinteractiveauthentication"
    case let word: defaults[word] != nil ? word : nil
    }
  }

  /// Sets what is not set yet: sshd takes the first value that it meets.
  mutating func take(_ keyword: String, _ setting: Setting) {
    if settings[keyword] == nil { settings[keyword] = setting }
  }

  /// Puts values that are known to be in force in the place of those that were read from files.
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

  /// Whether a setting that is yes or no is yes.
  func isOn(_ keyword: String) -> Bool { self[keyword].value.lowercased() == "yes" }

  /// Where a setting comes from, for a person.
  func origin(_ keyword: String) -> String { self[keyword].place ?? "sshd's default" }

  /// The line to write: where the setting stands now, or at the beginning of the main file, where no other goes before it
  /// and no Match above it. What a distribution keeps below /usr stays; a drop-in goes before it.
  func remedy(_ keyword: String, _ value: String) -> String {
    let line = "\(Self.spellings[keyword] ?? keyword) \(value)"
    if let place = self[keyword].place, !place.hasPrefix("/usr/") { return "in \(place): \(line)" }
    let file = mainFile.hasPrefix("/usr/") ? "/etc/ssh/sshd_config.d/00-twofactor.conf" : mainFile
    return Edit.insertBefore(file: file, line: 1, text: line).text
  }

  /// The lists of methods of which one has to be passed; nil where any one method is enough.
  var methods: [[String]]? {
    let lists = self["authenticationmethods"].value.split(separator: " ").map(String.init)
    guard !lists.isEmpty, lists != ["any"] else { return nil }
    return lists.map { list in
      list.split(separator: ",").map { String($0.split(separator: ":").first ?? $0).lowercased() }
    }
  }
}
