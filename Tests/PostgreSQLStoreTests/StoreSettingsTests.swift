import FixedMemory
import LoginPolicy
import Testing

@testable import PostgreSQLStore

/// A buffer cannot be allocated.
struct NoMemory: Error {}

@Suite struct StoreSettingsTests {
  private static let connection =
    "host=db1.example.org,db2.example.org dbname=twofactor user=web01 sslmode=verify-full "
    + "sslrootcert=/etc/ssl/ca.crt sslcert=/etc/ssl/web01.crt sslkey=/etc/ssl/web01.key"

  private static let key = String(repeating: "0123456789abcdef", count: 4)

  private static func parse(_ text: String) throws -> StoreSettings {
    guard var buffer = SecretBuffer(capacity: text.utf8.count) else { throw NoMemory() }
    _ = buffer.append(text.utf8.span)
    return try StoreSettings(parsing: buffer)
  }

  /// What is wrong with a text; empty if nothing is.
  private static func problem(_ text: String) throws -> String {
    do {
      _ = try parse(text)
      return ""
    } catch let problem as PolicyProblem {
      return StoreProblem(problem, in: "conf").text
    }
  }

  private static func problem(connection: String) throws -> String {
    try problem("connection = \"\(connection)\"\ngroup = web\n")
  }

  @Test func linesHaveTheSyntaxOfTwofactorConf() throws {
    let settings = try Self.parse(
      """
      # a comment

        connection = "\(Self.connection)"
      group=web
      replicated =  yes
      sealing_key = "/etc/key"
      """)
    #expect(settings.group == "web" && settings.isReplicated && settings.sealingKeyPath == "/etc/key")
    let defaults = try Self.parse("connection = \(Self.connection)\ngroup = web")
    #expect(!defaults.isReplicated && defaults.sealingKeyPath == "/etc/security/twofactor-sealing.key")
    #expect(defaults.connection == settings.connection && defaults.userConnection == nil)
    let ofUsers = Self.connection.split(separator: "user=web01").joined(separator: "user=web01_users")
    let limited = try Self.parse("connection = \(Self.connection)\ngroup = web\nuser_connection = \(ofUsers)")
    #expect(limited.connection == settings.connection)
    #expect(limited.userConnection?.contains(ConnectionParameter(name: "user", value: "web01_users")) == true)
    let weak = "connection = \(Self.connection)\ngroup = web\nuser_connection = host=db1.example.org"
    #expect(try Self.problem(weak).contains("line 3, \"user_connection\": has no dbname"))
  }

  @Test(arguments: [
    ("group = web", "conf: has no line for connection"),
    ("connection = \"\(connection)\"", "conf: has no line for group"),
    ("group = web\ngroup = web", "conf, line 2, \"group\": was given before"),
    ("groups = web", "conf, line 1, \"groups\": there is no such setting"),
    ("group", "conf, line 1, \"group\": has no value"),
    ("\(key)", "conf, line 1, \"…\": there is no such setting"),
    ("# \(key)\ngroup = web\n\(key) = x", "conf, line 3, \"…\": there is no such setting"),
    ("group =", "conf, line 1, \"group\": is not 1 to 63 bytes long"),
    ("group = a\u{7}", "conf, line 1, \"group\": has control characters"),
    ("group = web # the group", "has a comment after its value"),
    ("group = web replicated = yes", "has another option after its value"),
    ("group = 'web'", "is in single quotes"),
    ("group = pg_monitor", "is the name of a role of PostgreSQL"),
    ("group = twofactor_login", "is the name of a role of PostgreSQL"),
    ("\n\nreplicated = on", "conf, line 3, \"replicated\": is neither yes nor no"),
    ("sealing_key = key", "is not an absolute path"),
  ])
  func problemsNameTheLine(_ text: String, _ problem: String) throws {
    #expect(try Self.problem(text).contains(problem))
  }

  @Test func theConnectionIsCompleted() throws {
    let parameters = try Self.parse("connection = \"\(Self.connection) port=6432\"\ngroup = web").connection
    let values = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.value) })
    #expect(values["host"] == "db1.example.org,db2.example.org" && values["port"] == "6432")
    #expect(values["target_session_attrs"] == "read-write" && values["gssencmode"] == "disable")
    #expect(values["connect_timeout"] == "2" && values["tcp_user_timeout"] == "3000")
    #expect(values["sslmode"] == "verify-full" && values["client_encoding"] == "UTF8")
  }

  @Test func settingsCannotWeakenTheConnection() throws {
    let weak = " gssencmode=prefer target_session_attrs=any connect_timeout=60 tcp_user_timeout=0 keepalives=0"
    let strong = try Self.parse("connection = \"\(Self.connection)\"\ngroup = web").connection
    #expect(try Self.parse("connection = \"\(Self.connection)\(weak)\"\ngroup = web").connection == strong)
  }

  @Test(arguments: [
    ("sslmode=verify-full", "sslmode=require", "another sslmode"), ("sslmode=verify-full", "", "another sslmode"),
    ("host=", "hostaddr=10.0.0.1 port=", "has no host"), ("host=", "host=,", "empty host"),
    ("host=", "host=/run/postgresql,", "socket"), ("host=", "host=@abstract,", "socket"),
    ("dbname=twofactor", "", "has no dbname"), ("user=web01", "", "has no user"),
    ("sslrootcert=/etc/ssl/ca.crt", "", "has no sslrootcert"), ("sslcert=/etc/ssl/web01.crt", "", "has no sslcert"),
    ("sslkey=/etc/ssl/web01.key", "", "has no sslkey"), ("sslkey=/", "sslkey=", "not absolute"),
    ("sslrootcert=/etc/ssl/ca.crt", "sslrootcert=system", "not absolute"),
    ("user=web01", "user=web01 password=x", "password"), ("user=web01", "user=web01 passfile=/x", "password"),
    ("user=web01", "user=web01 sslpassword=x", "password"), ("user=web01", "user=web01 service=x", "service"),
    ("user=web01", "user=web01 options=-cfsync=off", "options"),
    ("user=web01", "user=web01 krbsrvname=x", "not allowed"), ("user=web01", "user=web01 replication=1", "not allowed"),
    ("user=web01", "user=web01 client_encoding=LATIN1", "not allowed"), ("user=web01", "usr=web01", "not a connection"),
    ("user=web01", "user='web01", "not a connection"),
  ])
  func otherConnectionsAreRejected(_ part: String, _ replacement: String, _ problem: String) throws {
    let parts = Self.connection.split(separator: part, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2)
    #expect(try Self.problem(connection: parts.joined(separator: replacement)).contains(problem))
  }

  @Test func anAddressOfLibpqIsAConnectionString() throws {
    let uri =
      "postgresql://web01@db1.example.org,db2.example.org/twofactor?sslmode=verify-full"
      + "&sslrootcert=/etc/ssl/ca.crt&sslcert=/etc/ssl/web01.crt&sslkey=/etc/ssl/web01.key"
    #expect(try Self.problem(connection: uri) == "")
    let weak = uri.split(separator: "verify-full").joined(separator: "verify-ca")
    #expect(try Self.problem(connection: weak).contains("another sslmode"))
  }

  @Test func textsOfServersStayOnOneLine() {
    let problem = StoreProblem(database: "a\nb\u{1b}[2J\u{9b}c\r\n" + String(repeating: "x", count: 5000))
    #expect(problem.text.hasPrefix("PostgreSQL: a; b [2J c"))
    #expect(problem.text.utf8.count < 900 && !problem.text.contains("\n"))
    // One character of 3001 scalars.
    #expect(StoreProblem(database: "e" + String(repeating: "\u{301}", count: 3000)).text.utf8.count < 900)
  }
}
