/// The keywords that decide how a login is authenticated.
enum SSHKeyword: String, CaseIterable, CustomStringConvertible {
  case usePAM = "UsePAM"
  case pamServiceName = "PAMServiceName"
  case useDNS = "UseDNS"
  case authenticationMethods = "AuthenticationMethods"
  case keyboardInteractive = "KbdInteractiveAuthentication"
  case password = "PasswordAuthentication"
  case publicKey = "PubkeyAuthentication"
  case hostBased = "HostbasedAuthentication"
  case gssapi = "GSSAPIAuthentication"
  /// From a patch of the distributions.
  case gssapiKeyExchange = "GSSAPIKeyExchange"
  case kerberos = "KerberosAuthentication"
  case emptyPasswords = "PermitEmptyPasswords"
  case rootLogin = "PermitRootLogin"
  case loginGraceTime = "LoginGraceTime"

  private static let names = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue.lowercased(), $0) })

  /// Nil for other keywords.
  init?(_ word: String) {
    switch word.lowercased() {
    case "challengeresponseauthentication", "skeyauthentication": self = .keyboardInteractive
    case "dsaauthentication": self = .publicKey
    case let word:
      guard let keyword = Self.names[word] else { return nil }
      self = keyword
    }
  }

  var description: String { rawValue }

  /// sshd's default.
  var standard: String {
    switch self {
    case .pamServiceName: "sshd"
    case .authenticationMethods: "any"
    case .keyboardInteractive, .password, .publicKey: "yes"
    case .rootLogin: "prohibit-password"
    case .loginGraceTime: "120"
    case .usePAM, .useDNS, .hostBased, .gssapi, .gssapiKeyExchange, .kerberos, .emptyPasswords: "no"
    }
  }

  /// Whether a `Match` block can override it.
  var isAllowedInMatch: Bool { ![.usePAM, .useDNS, .gssapiKeyExchange, .loginGraceTime].contains(self) }

  /// The value as `sshd -T` prints it; nil if sshd rejects it.
  func value(of arguments: [String]) -> String? {
    switch self {
    case .authenticationMethods:
      let isValid = arguments == ["any"] || !arguments.isEmpty && arguments.allSatisfy(Self.isMethodList)
      return isValid ? arguments.joined(separator: " ") : nil
    case .pamServiceName: return arguments.first
    case .loginGraceTime: return arguments.first.flatMap(Self.seconds).map(String.init)
    case .rootLogin:
      guard let value = arguments.first?.lowercased(), arguments.count == 1 else { return nil }
      if value == "without-password" { return "prohibit-password" }
      return ["yes", "no", "prohibit-password", "forced-commands-only"].contains(value) ? value : nil
    default:
      guard let value = arguments.first?.lowercased(), arguments.count == 1 else { return nil }
      return value == "yes" || value == "no" ? value : nil
    }
  }

  /// TIME FORMATS in sshd_config(5): numbers, each with an optional unit. Nil if sshd rejects it.
  static func seconds(_ text: String) -> Int? {
    var total = 0
    var number: Int?
    for character in text {
      if let digit = character.wholeNumberValue, character.isASCII {
        number = min((number ?? 0) * 10 + digit, Int(Int32.max))
        continue
      }
      let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
      guard let unit = units[Character(character.lowercased())], let count = number else { return nil }
      total += count * unit
      number = nil
    }
    total += number ?? 0
    return text.isEmpty || total > Int(Int32.max) ? nil : total
  }

  private static let methods: Set<Substring> = [
    "none", "publickey", "gssapi-with-mic", "gssapi-keyex", "password", "keyboard-interactive", "hostbased",
  ]

  private static func isMethodList(_ text: String) -> Bool {
    text.split(separator: ",", omittingEmptySubsequences: false).allSatisfy { method in
      methods.contains(method.prefix { $0 != ":" })
    }
  }
}
