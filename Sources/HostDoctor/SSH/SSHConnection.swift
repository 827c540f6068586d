internal import CSystem
import Glibc
import HostAccess

/// The properties of a login that `Match` blocks test.
struct SSHConnection: Equatable {
  struct User: Equatable {
    let name: String
    let groups: [String]
    /// Whether the groups come from the name services, as in sshd.
    let isKnown: Bool
  }

  var userEntry: User
  var address: String
  var host = "unknown.invalid"
  var localAddress = "192.0.2.2"
  var localPort = 22
  var routingDomain = ""

  var user: String { userEntry.name }
  var groups: [String] { userEntry.groups }

  /// The argument of `sshd -T -C`.
  var specification: String {
    "user=\(user),host=\(host),addr=\(address),laddr=\(localAddress),lport=\(localPort)"
      + (routingDomain.isEmpty ? "" : ",rdomain=\(routingDomain)")
  }
}

/// Chooses the logins to check: an ordinary one, and one in each `Match` block.
struct SSHConnections {
  let configuration: SSHConfiguration
  /// A login to which as few blocks as possible apply.
  private(set) var ordinary: SSHConnection
  /// Candidates, in order of preference.
  private let users: [SSHConnection.User]
  /// The blocks with settings, each with its enclosing blocks.
  private let relevant: [[SSHMatch]]

  /// Networks for documentation (RFC 5737, RFC 3849), which few blocks name.
  private static let addresses = ["198.51.100.1", "203.0.113.1", "192.0.2.1", "2001:db8::1"]

  /// A user of another name service, with unknown name and groups.
  private static let stranger = SSHConnection.User(name: "unknown", groups: ["unknown"], isKnown: false)

  private static let maximumCandidates = 24
  private static let maximumBlocks = 64
  private static let maximumTime = Duration.seconds(2)

  /// The end of the search, which takes milliseconds on an ordinary host.
  private let end = ContinuousClock.now + maximumTime

  private var hasTime: Bool { ContinuousClock.now < end }

  /// `account`: the only user to check; nil for all.
  init(_ configuration: SSHConfiguration, tree: HostTree, account: TreeAccount?) {
    self.configuration = configuration
    relevant = configuration.relevantBlocks.prefix(Self.maximumBlocks).map { index in
      configuration.enclosing(index).map { configuration.blocks[$0] }
    }
    let criteria = relevant.joined().flatMap(\.criteria)
    let hasGroups = criteria.contains { if case .group = $0 { true } else { false } }
    let hasUsers = criteria.contains { if case .user = $0 { true } else { false } }
    let user = { (account: TreeAccount) in
      let groups = hasGroups && tree.isThisHost ? Self.groups(of: account.name) : nil
      return SSHConnection.User(name: account.name, groups: groups ?? account.groups, isKnown: tree.isThisHost)
    }
    if let account {
      users = [user(account)]
    } else if hasGroups || hasUsers {
      let accounts = TreeAccount.all(in: tree)
      let ordinary = accounts.filter { $0.mayLogIn && $0.userID != .root }
      let others = accounts.filter { !$0.mayLogIn || $0.userID == .root }
      users = (ordinary.prefix(500) + others.prefix(100)).map(user) + [Self.stranger]
    } else {
      users = [Self.stranger]
    }
    isForOneAccount = account != nil
    self.tree = tree
    let choices = account == nil ? users.filter { $0.name != "root" } : users
    ordinary = SSHConnection(userEntry: choices[0], address: "")
    ordinary = best(users: choices, addresses: Self.addresses, like: ordinary, least: 0)
  }

  private let isForOneAccount: Bool
  private let tree: HostTree

  /// Nil if no login is found to which the block applies.
  func login(in block: Int) -> SSHConnection? {
    let chain = configuration.enclosing(block).map { configuration.blocks[$0] }
    let criteria = chain.flatMap(\.criteria)
    var login = ordinary
    var addresses = Self.addresses
    for criterion in criteria {
      switch criterion {
      case .address(let list): addresses += SSHPattern.examples(of: list)
      case .localAddress(let list):
        let choices = [login.localAddress] + SSHPattern.examples(of: list)
        login.localAddress = choices.first { SSHPattern.matches(address: $0, list: list) } ?? login.localAddress
      case .localPort(let port): login.localPort = port
      case .host(let list):
        let choices = [login.host] + SSHPattern.examples(of: list)
        login.host =
          choices.first { SSHPattern.matches($0.lowercased(), list: list.lowercased()) == .match } ?? login.host
      case .routingDomain(let list): login.routingDomain = SSHPattern.examples(of: list).first ?? ""
      case .all, .invalidUser, .user, .group, .unknown: break
      }
    }
    let users = self.users + (isForOneAccount ? [] : strangers(criteria))
    let suitableUsers = users.filter { user in hasTime && chain.allSatisfy { $0.accepts(user) } }
    let suitableAddresses = addresses.filter { address in
      hasTime && chain.allSatisfy { $0.accepts(address: address) }
    }
    guard !suitableUsers.isEmpty, !suitableAddresses.isEmpty else { return nil }
    let found = best(users: suitableUsers, addresses: suitableAddresses, like: login, least: 1)
    return chain.allSatisfy { $0.applies(to: found) } ? found : nil
  }

  /// The login to which the fewest blocks apply, so that no other block overrides the settings of the one checked.
  private func best(
    users: [SSHConnection.User], addresses: [String], like login: SSHConnection, least: Int
  ) -> SSHConnection {
    var best: (login: SSHConnection, count: Int)?
    for user in users.prefix(Self.maximumCandidates) {
      for address in addresses.prefix(Self.maximumCandidates) where best == nil || hasTime {
        var login = login
        (login.userEntry, login.address) = (user, address)
        let count = relevant.count { chain in chain.allSatisfy { $0.applies(to: login) } }
        if count < best?.count ?? .max { best = (login, count) }
        if count <= least { return login }
      }
    }
    return best?.login ?? login
  }

  /// Users made from the patterns of the criteria. They may exist in another name service.
  private func strangers(_ criteria: [SSHMatch.Criterion]) -> [SSHConnection.User] {
    var names: [String] = []
    var groups: [String] = []
    for criterion in criteria {
      switch criterion {
      case .user(let list): names += SSHPattern.examples(of: list)
      case .group(let list): groups += SSHPattern.examples(of: list)
      default: continue
      }
    }
    if names.isEmpty { names = tree.isThisHost ? groups.flatMap(Self.members) + ["unknown"] : ["unknown"] }
    return names.filter { !$0.isEmpty }.prefix(Self.maximumCandidates).flatMap { name -> [SSHConnection.User] in
      if let known = users.first(where: { $0.name == name && $0 != Self.stranger }) { return [known] }
      let real =
        tree.isThisHost
        ? Self.groups(of: name).map { [SSHConnection.User(name: name, groups: $0, isKnown: true)] } : nil
      return real
        ?? (groups.isEmpty ? [name] : groups).prefix(Self.maximumCandidates).map {
          SSHConnection.User(name: name, groups: [$0], isKnown: false)
        }
    }
  }

  // MARK: Name services

  /// Nil if there is no such account.
  private static func groups(of name: String) -> [String]? {
    guard let account = try? UserAccount.existing(named: name) else { return nil }
    var groups: UnsafeMutablePointer<gid_t>?
    // SAFETY: the string is NUL-terminated; the array has the returned length and is freed.
    let count = unsafe csystem_account_groups(name, account.groupID, &groups)
    defer { unsafe free(groups) }
    guard count > 0, let groups = unsafe groups else { return [] }
    return (0..<Int(count)).compactMap { index in
      // SAFETY: the name is copied before the next getgrgid(3).
      unsafe getgrgid(groups[index]).map { unsafe String(cString: $0.pointee.gr_name) }
    }
  }

  private static func members(of group: String) -> [String] {
    // SAFETY: the names are copied before the next getgrnam(3); a null pointer ends the list.
    guard let entry = unsafe getgrnam(group), var next = unsafe entry.pointee.gr_mem else { return [] }
    var names: [String] = []
    while let name = unsafe next.pointee, names.count < 8 {
      unsafe names.append(String(cString: name))
      unsafe next += 1
    }
    return names
  }
}

extension SSHMatch {
  fileprivate func accepts(_ user: SSHConnection.User) -> Bool {
    criteria.allSatisfy { criterion in
      switch criterion {
      case .user(let list): SSHPattern.matches(user.name, list: list) == .match
      case .group(let list): SSHPattern.matches(groups: user.groups, list: list)
      default: true
      }
    }
  }

  fileprivate func accepts(address: String) -> Bool {
    criteria.allSatisfy { criterion in
      if case .address(let list) = criterion { SSHPattern.matches(address: address, list: list) } else { true }
    }
  }
}
