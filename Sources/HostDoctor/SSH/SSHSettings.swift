/// The values that sshd uses for a login, and the lines that set them.
struct SSHSettings: Equatable {
  struct Setting: Equatable {
    var value: String
    /// Nil for sshd's default, and for values that only `sshd -T` reports.
    var line: Place?
  }

  struct Place: Equatable {
    let file: String
    let number: Int
    let text: String
    /// Nil outside `Match` blocks.
    let match: String?
  }

  private var settings: [SSHKeyword: Setting] = [:]
  private let mainFile: String
  /// Whether `sshd -T` does not contradict the files.
  private(set) var isCertain = true

  init(mainFile: String) { self.mainFile = mainFile }

  /// Only the first line of a keyword counts.
  mutating func take(_ line: SSHConfiguration.Line, match: SSHMatch?) {
    guard settings[line.keyword] == nil else { return }
    let label = match.map { "Match \($0.text) (\($0.place))" }
    let place = Place(file: line.file, number: line.number, text: line.text, match: label)
    settings[line.keyword] = Setting(value: line.value, line: place)
  }

  /// Replaces values with those of `sshd -T`. Returns the differences.
  mutating func adopt(_ values: [SSHKeyword: String]) -> [String] {
    var differences: [String] = []
    for keyword in SSHKeyword.allCases {
      guard let value = values[keyword], value != self[keyword] else { continue }
      differences.append("\(keyword) \(value) instead of \(self[keyword])")
      settings[keyword] = Setting(value: value, line: nil)
      isCertain = false
    }
    return differences
  }

  subscript(_ keyword: SSHKeyword) -> String { settings[keyword]?.value ?? keyword.standard }

  func isOn(_ keyword: SSHKeyword) -> Bool { self[keyword] == "yes" }

  func line(_ keyword: SSHKeyword) -> Place? { settings[keyword]?.line }

  /// `FILE, line N`, and the block.
  func origin(_ keyword: SSHKeyword) -> String {
    guard let line = line(keyword) else { return isCertain ? "sshd's default" : "sshd reports it" }
    return "\(line.file), line \(line.number)" + (line.match.map { ", under \($0)" } ?? "")
  }

  /// Replaces the line of the setting, or inserts one at the top of the main file, before any `Include` or `Match`. If
  /// the file is the vendor's, below /usr, creates a drop-in instead.
  func edit(_ keyword: SSHKeyword, _ value: String) -> Edit {
    let text = "\(keyword) \(value)"
    if let line = line(keyword), !line.file.hasPrefix("/usr/") {
      return .replace(file: line.file, line: line.number, text: text)
    }
    let file = mainFile.hasPrefix("/usr/") ? "/etc/ssh/sshd_config.d/00-twofactor.conf" : mainFile
    return .insertBefore(file: file, line: 1, text: text)
  }

  // MARK: Methods

  /// Lists of methods, one of which a login must complete. sshd ignores lists with a disabled method.
  var methods: [[String]] {
    if self[.authenticationMethods] == "any" {
      return Self.names.filter(isEnabled).map { [$0] }
    }
    let lists = self[.authenticationMethods].split(separator: " ").map { list in
      list.split(separator: ",").map { method in
        // No other device of keyboard-interactive exists on Linux.
        method == "keyboard-interactive:pam" ? "keyboard-interactive" : String(method)
      }
    }
    return lists.filter { $0.allSatisfy(isEnabled) }
  }

  /// The keyword that disables a method in a list with keyboard-interactive.
  var missingMethod: SSHKeyword? {
    self[.authenticationMethods].split(separator: " ").map { $0.split(separator: ",").map(String.init) }
      .first { $0.contains { $0.hasPrefix("keyboard-interactive") } }?
      .first { !isEnabled($0) }.flatMap(Self.keyword)
  }

  private static func keyword(of method: String) -> SSHKeyword? {
    switch method {
    case "publickey": .publicKey
    case "password": .password
    case "keyboard-interactive": .keyboardInteractive
    case "hostbased": .hostBased
    case "gssapi-with-mic": .gssapi
    case "gssapi-keyex": .gssapiKeyExchange
    default: nil
    }
  }

  private static let names = [
    "publickey", "gssapi-with-mic", "gssapi-keyex", "hostbased", "keyboard-interactive", "password",
  ]

  private func isEnabled(_ method: String) -> Bool { Self.keyword(of: method).map(isOn) ?? false }
}
