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
    case .usePAM, .useDNS, .hostBased, .gssapi, .gssapiKeyExchange, .kerberos, .emptyPasswords: "no"
    }
  }

  /// Whether a `Match` block can override it.
  var isAllowedInMatch: Bool { ![.usePAM, .useDNS, .gssapiKeyExchange].contains(self) }

  /// The value as `sshd -T` prints it; nil if sshd rejects it.
  func value(of arguments: [String]) -> String? {
    switch self {
    case .authenticationMethods:
      let isValid = arguments == ["any"] || !arguments.isEmpty && arguments.allSatisfy(Self.isMethodList)
      return isValid ? arguments.joined(separator: " ") : nil
    case .pamServiceName: return arguments.first
    case .rootLogin:
      guard let value = arguments.first?.lowercased(), arguments.count == 1 else { return nil }
      if value == "without-password" { return "prohibit-password" }
      return ["yes", "no", "prohibit-password", "forced-commands-only"].contains(value) ? value : nil
    default:
      guard let value = arguments.first?.lowercased(), arguments.count == 1 else { return nil }
      return value == "yes" || value == "no" ? value : nil
    }
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
