/// A `Match` block (sshd_config(5)).
struct SSHMatch {
  enum Criterion: Equatable {
    case all
    /// The user does not exist, so no login succeeds.
    case invalidUser
    case user(String)
    case group(String)
    case host(String)
    case address(String)
    case localAddress(String)
    case localPort(Int)
    case routingDomain(String)
    /// Depends on the release of sshd.
    case unknown(String)
  }

  let criteria: [Criterion]
  /// The arguments.
  let text: String
  let file: String
  let line: Int

  var place: String { "\(file), line \(line)" }

  var isAll: Bool { criteria == [.all] }

  struct Invalid: Error {
    let words: String
  }

  init(_ arguments: [String], file: String, line: Int) throws(Invalid) {
    text = arguments.joined(separator: " ")
    (self.file, self.line) = (file, line)
    var words = arguments[...]
    var criteria: [Criterion] = []
    while var word = words.popFirst() {
      var value: String?
      if let equals = word.firstIndex(of: "=") {
        value = String(word[word.index(after: equals)...])
        word = String(word[..<equals])
      }
      switch word.lowercased() {
      case "all":
        guard arguments.count == 1 else { throw Invalid(words: "Match all has other criteria") }
        criteria.append(.all)
        continue
      case "invalid-user":
        criteria.append(.invalidUser)
        continue
      default: break
      }
      if value?.isEmpty ?? true {
        value = words.popFirst()
        if value == "=" { value = words.popFirst() }
      }
      guard let value, !value.isEmpty else { throw Invalid(words: "Match \(word) has no value") }
      criteria.append(try Self.criterion(word, value))
    }
    guard !criteria.isEmpty else { throw Invalid(words: "Match has no criteria") }
    self.criteria = criteria
  }

  private static func criterion(_ word: String, _ value: String) throws(Invalid) -> Criterion {
    switch word.lowercased() {
    case "user": return .user(value)
    case "group": return .group(value)
    case "host": return .host(value)
    case "address", "localaddress":
      guard SSHPattern.isValid(addresses: value) else { throw Invalid(words: "Match \(word) has an invalid network") }
      return word.lowercased() == "address" ? .address(value) : .localAddress(value)
    case "localport":
      guard let port = UInt16(value) else { throw Invalid(words: "Match \(word) has an invalid port") }
      return .localPort(Int(port))
    case "rdomain": return .routingDomain(value)
    default: return .unknown(word)
    }
  }

  func applies(to login: SSHConnection) -> Bool {
    criteria.allSatisfy { criterion in
      switch criterion {
      case .all: true
      case .invalidUser, .unknown: false
      case .user(let list): SSHPattern.matches(login.user, list: list) == .match
      case .group(let list): SSHPattern.matches(groups: login.groups, list: list)
      case .host(let list): SSHPattern.matches(login.host.lowercased(), list: list.lowercased()) == .match
      case .address(let list): SSHPattern.matches(address: login.address, list: list)
      case .localAddress(let list): SSHPattern.matches(address: login.localAddress, list: list)
      case .localPort(let port): login.localPort == port
      case .routingDomain(let list): SSHPattern.matches(login.routingDomain, list: list) == .match
      }
    }
  }
}
