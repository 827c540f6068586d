internal import CPostgreSQL
internal import FixedMemory

/// A parameter of a connection with libpq.
package struct ConnectionParameter: Sendable, Equatable {
  /// As in libpq's manual (section "Parameter Key Words").
  package let name: String

  package let value: String

  /// Parameters that twofactor-postgresql.conf may set. Others would read files of the user, authenticate with a
  /// password, or weaken the checks below.
  private static let allowed: Set<String> = [
    "host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir",
    "channel_binding", "gssencmode", "ssl_min_protocol_version", "ssl_max_protocol_version", "connect_timeout",
    "target_session_attrs", "tcp_user_timeout", "sslcompression", "sslsni", "keepalives", "keepalives_idle",
    "keepalives_interval", "keepalives_count",
  ]

  private static let required: [(name: String, problem: Literal)] = [
    ("host", "has no host"), ("dbname", "has no dbname"), ("user", "has no user"),
    ("sslrootcert", "has no sslrootcert, the certificate of the authority that signs the servers' certificates"),
    ("sslcert", "has no sslcert, the certificate of this host"), ("sslkey", "has no sslkey, the key of this host"),
  ]

  /// Parameters that override the settings. Times are in seconds, tcp_user_timeout in milliseconds. libpq ignores its
  /// defaults for parameters that are set.
  private static let fixed: [ConnectionParameter] = [
    ConnectionParameter(name: "sslmode", value: "verify-full"),
    ConnectionParameter(name: "gssencmode", value: "disable"),
    ConnectionParameter(name: "target_session_attrs", value: "read-write"),
    ConnectionParameter(name: "connect_timeout", value: "2"),
    ConnectionParameter(name: "tcp_user_timeout", value: "3000"),
    ConnectionParameter(name: "keepalives", value: "1"),
    ConnectionParameter(name: "keepalives_idle", value: "2"),
    ConnectionParameter(name: "keepalives_interval", value: "1"),
    ConnectionParameter(name: "keepalives_count", value: "2"),
    ConnectionParameter(name: "sslcompression", value: "0"),
    ConnectionParameter(name: "client_encoding", value: "UTF8"),
    ConnectionParameter(name: "application_name", value: "twofactor"),
  ]

  /// Parses a connection string with libpq, validates it, and adds the fixed parameters.
  static func all(in text: String) throws(SettingFault) -> [ConnectionParameter] {
    let given = try parse(text)
    for parameter in given where !allowed.contains(parameter.name) {
      throw SettingFault(problem(of: parameter.name))
    }
    func value(_ name: String) -> String { given.last { $0.name == name }?.value ?? "" }
    for (name, problem) in required where value(name).isEmpty { throw SettingFault(problem) }
    guard value("sslmode") == "verify-full" else {
      throw SettingFault("has another sslmode than verify-full, so any server could pose as the right one")
    }
    let hosts = value("host").split(separator: ",", omittingEmptySubsequences: false)
    guard hosts.allSatisfy({ $0.contains { $0 != " " } }) else { throw SettingFault("has an empty host") }
    // libpq uses no TLS for them.
    guard !hosts.contains(where: { $0.hasPrefix("/") || $0.hasPrefix("@") }) else {
      throw SettingFault("has the path of a socket as host; give the name in the server's certificate")
    }
    for name in ["sslrootcert", "sslcert", "sslkey"] where !value(name).hasPrefix("/") {
      throw SettingFault("has a path of a certificate or key that is not absolute")
    }
    let names = Set(fixed.map(\.name))
    return given.filter { !names.contains($0.name) } + fixed
  }

  private static func problem(of name: String) -> Literal {
    switch name {
    case "password", "passfile", "sslpassword", "require_auth": "has a password; hosts authenticate by certificate"
    case "service": "has a service; give its parameters instead"
    case "options": "has options, which PgBouncer drops"
    case "load_balance_hosts": "has load_balance_hosts; the servers are tried in their order"
    default: "has a parameter that is not allowed here"
    }
  }

  private static func parse(_ text: String) throws(SettingFault) -> [ConnectionParameter] {
    let list = ParameterList()
    // SAFETY: libpq's texts are NUL-terminated and copied at once; the list outlives the call.
    let isParsed = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { problem in
      unsafe cpostgresql_parse(
        text, Unmanaged.passUnretained(list).toOpaque(),
        { context, name, value in
          guard let context = unsafe context, let name = unsafe name, let value = unsafe value else { return }
          unsafe Unmanaged<ParameterList>.fromOpaque(context).takeUnretainedValue().parameters.append(
            ConnectionParameter(name: String(cString: name), value: String(cString: value)))
        }, problem.baseAddress, problem.count) != 0
    }
    guard isParsed else { throw SettingFault("is not a connection string of libpq, such as \"host=db1.example.org\"") }
    return list.parameters
  }
}

/// Collects what libpq's parser finds.
private final class ParameterList {
  var parameters: [ConnectionParameter] = []
}
