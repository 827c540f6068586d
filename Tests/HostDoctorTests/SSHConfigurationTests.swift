import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct SSHConfigurationTests {
  private static let main = "/etc/ssh/sshd_config"

  private func read(_ files: [String: String]) throws -> SSHConfiguration {
    try TemporaryHost(files).read { SSHConfiguration($0) }
  }

  private func login(
    _ user: String = "alice", groups: [String] = ["staff"], address: String = "198.51.100.1"
  )
    -> SSHConnection
  {
    SSHConnection(userEntry: .init(name: user, groups: groups, isKnown: true), address: address)
  }

  private func settings(_ files: [String: String], for login: SSHConnection? = nil) throws -> SSHSettings {
    try read(files).settings(for: login ?? self.login())
  }

  @Test func theFirstLineCountsAndFilesAreIncludedInOrder() throws {
    let settings = try settings([
      Self.main: "Include sshd_config.d/*.conf\nUsePAM \"yes\"\nPermitRootLogin yes # not read\n",
      "/etc/ssh/sshd_config.d/20.conf": "permitrootlogin=no\n",
      "/etc/ssh/sshd_config.d/10.conf": "PermitRootLogin without-password\nSkeyAuthentication = no\n",
      "/etc/ssh/sshd_config.d/.hidden.conf": "UsePAM no\n",
    ])
    #expect(settings[.rootLogin] == "prohibit-password" && settings.isOn(.usePAM))
    #expect(settings.origin(.rootLogin) == "/etc/ssh/sshd_config.d/10.conf, line 1")
    #expect(!settings.isOn(.keyboardInteractive) && settings.origin(.publicKey) == "sshd's default")
  }

  @Test func aBlockOverridesLinesBeforeAndAfterIt() throws {
    let settings = try settings([
      Self.main: "PasswordAuthentication no\r\nMatch User alice\r\nPasswordAuthentication yes"
    ])
    #expect(settings.isOn(.password))
    #expect(
      settings.origin(.password)
        == "/etc/ssh/sshd_config, line 3, under Match User alice (/etc/ssh/sshd_config, line 2)")
  }

  /// A block ends with its file; a file that a block includes belongs to the block.
  @Test func includedLinesBelongToTheBlockOfTheInclude() throws {
    let files = [
      Self.main:
        "Include one.conf\nPermitRootLogin yes\nMatch User alice\nInclude two.conf\nPermitEmptyPasswords yes\n",
      "/etc/ssh/one.conf": "Match User bob\nPermitRootLogin no\n",
      "/etc/ssh/two.conf": "PubkeyAuthentication no\nMatch Address 10.0.0.0/8\nPasswordAuthentication no\n",
    ]
    let near = try settings(files, for: login(address: "10.1.2.3"))
    #expect(near[.rootLogin] == "yes" && !near.isOn(.publicKey) && near.isOn(.emptyPasswords) && !near.isOn(.password))
    #expect(try settings(files).isOn(.password))
    let bob = try settings(files, for: login("bob", address: "10.1.2.3"))
    #expect(bob[.rootLogin] == "no" && bob.isOn(.publicKey) && bob.isOn(.password))
  }

  /// sshd applies `Match all` when it starts, too.
  @Test func matchAllMayContainKeywordsThatOtherBlocksMayNot() throws {
    #expect(try settings([Self.main: "Match all\nUsePAM yes\n"]).isOn(.usePAM))
    let other = try read([Self.main: "PasswordAuthentication no\nMatch User alice\nUsePAM yes\n"])
    #expect(other.problem?.place == "/etc/ssh/sshd_config, line 3")
  }

  @Test(
    arguments: [
      ("Include /etc/ssh/sshd_config", "line 1, includes itself"), ("UsePAM perhaps", "line 1, UsePAM has an invalid"),
      ("UsePAM", "line 1, UsePAM has no argument"), ("Banner \"a", "line 1, has an unterminated quote"),
      ("AuthenticationMethods key", "line 1, AuthenticationMethods has an invalid"),
      ("Match all User a", "line 1, Match all"), ("Match Address 10.0.0.1/8", "line 1, Match Address"),
      ("Match User", "line 1, Match User has no value"), ("\0", "line 1, contains a NUL byte"),
    ])
  func aLineThatSshdRejectsIsReported(line: String, words: String) throws {
    let problem = try read([Self.main: line + "\n"]).problem
    #expect(
      problem.map { "\($0.place), \($0.words)" }?.hasPrefix("/etc/ssh/sshd_config, \(words)") == true,
      "\(problem as Any)")
  }

  /// Two includes in each of seventeen files would be read 131,072 times.
  @Test func includesThatMultiplyAreLimited() throws {
    var files = [Self.main: "Include 1\nInclude 1\n"]
    for index in 1...16 { files["/etc/ssh/\(index)"] = "Include \(index + 1)\nInclude \(index + 1)\n\n\n\n" }
    #expect(try read(files).problem?.words.contains("too many files") == true)
  }

  @Test(
    arguments: [
      ("User alice", true), ("user=bob,al*", true), ("User *,!alice", false), ("User !bob", false),
      ("uSER \"alice\"", true),
      ("Group staff", true), ("Group *,!staff", false), ("Group staff User bob", false), ("all", true),
      ("ALL # x", true),
      ("Address 198.51.100.0/24", true), ("Address 198.51.100.*", true), ("Address *,!198.51.100.1", false),
      ("Address 2001:db8::/32", false), ("LocalAddress 192.0.2.2", true), ("LocalPort 22", true),
      ("LocalPort 2222", false),
      ("Host *.INVALID", true), ("RDomain *", true), ("RDomain blue", false), ("invalid-user", false),
      ("Colour red", false),
    ])
  func theCriteriaOfABlockAreEvaluated(criteria: String, applies: Bool) throws {
    let file = "PasswordAuthentication no\nMatch \(criteria)\nPasswordAuthentication yes\n"
    #expect(try settings([Self.main: file]).isOn(.password) == applies)
  }

  @Test(
    arguments: [
      ("User git", "git"), ("User !root,ro*", "ro1"), ("Group *", "alice"), ("Group backup", "unknown"),
      ("User git Group backup", "git"),
    ])
  func aLoginIsFoundForTheUsersOfABlock(criteria: String, user: String) throws {
    #expect(try found(criteria)?.user == user)
  }

  @Test(
    arguments: [
      ("Address 10.0.0.0/8", "10.0.0.1"), ("Address 10.0.0.0/30,!10.0.0.1", "10.0.0.2"),
      ("Address 192.168.*", "192.168.1.1"),
      ("Address 2001:db8:1::/48", "2001:db8:1::1"), ("Address 10.0.0.7", "10.0.0.7"),
      ("Address *,!198.51.100.0/24", "203.0.113.1"),
    ])
  func aLoginIsFoundForTheAddressesOfABlock(criteria: String, address: String) throws {
    #expect(try found(criteria)?.address == address)
  }

  private func found(_ criteria: String) throws -> SSHConnection? {
    let files = [
      Self.main: "Match \(criteria)\nPasswordAuthentication yes\n", "/etc/group": "alice:x:1:\n",
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\n",
    ]
    return try TemporaryHost(files).read { tree in
      SSHConnections(SSHConfiguration(tree), tree: tree, account: nil).login(in: 0)
    }
  }

  @Test func theOrdinaryLoginAvoidsBlocks() throws {
    let files = [
      Self.main: "Match Address 198.51.100.0/24\nPermitRootLogin no\nMatch User alice\nPermitRootLogin no\n",
      "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1:1::/home/alice:/bin/sh\n",
    ]
    let login = try TemporaryHost(files).read { tree in
      SSHConnections(SSHConfiguration(tree), tree: tree, account: nil).ordinary
    }
    #expect(login.user == "unknown" && login.address == "203.0.113.1")
  }

  @Test func aSettingMissingInAVendorsFileIsAddedToADropIn() throws {
    let settings = try settings(["/usr/etc/ssh/sshd_config": "PasswordAuthentication yes\n"])
    let line = "in /etc/ssh/sshd_config.d/00-twofactor.conf, before line 1: PasswordAuthentication no"
    #expect(settings.edit(.password, "no").text == line)
  }

  @Test func settingsOfSshdOverrideTheFilesAndDifferencesAreReturned() throws {
    var settings = try settings([Self.main: "UsePAM no\nPermitRootLogin yes\n"])
    let report = SSHReport.values(
      in: "port 22\nusepam yes\npermitrootlogin without-password\nauthenticationmethods any\n")
    #expect(settings.adopt(report) == ["UsePAM yes instead of no", "PermitRootLogin prohibit-password instead of yes"])
    #expect(settings.isOn(.usePAM) && !settings.isCertain && settings.line(.usePAM) == nil)
  }
}
