internal import CPostgreSQL
internal import FixedMemory
internal import HelperProtocol

/// Answers the request `describe`: the settings of this host, and each server of its connection string. A child process
/// asks each server, so that slow name resolution or a server that hangs does not delay the others.
struct FleetDescription {
  private let settings: StoreSettings

  /// The time limit for each server, in seconds.
  private static let timeout: UInt32 = 6

  private static let maximumServers = 16

  init(_ settings: StoreSettings) { self.settings = settings }

  /// Nil if memory is short.
  var answer: SecretBuffer? {
    let text = own + servers
    let bytes = Array(text.utf8.prefix(HelperMessage.maximumLength - 2))
    guard var writer = MessageWriter(HelperStatus.done.rawValue, capacity: bytes.count) else { return nil }
    writer.add(rest: bytes.span)
    return writer.finish()
  }

  private func value(_ name: String) -> String { settings.connection.last { $0.name == name }?.value ?? "" }

  private var own: String {
    var text = "group \(settings.group)\nrole \(value("user"))\ndatabase \(value("dbname"))\n"
    text += "replicated \(settings.isReplicated ? "yes" : "no")\nkey_file \(settings.sealingKeyPath)\n"
    // SAFETY: the path is NUL-terminated for the call.
    let end = unsafe cpostgresql_certificate_end(value("sslcert"))
    if end > 0 { text += "certificate \(end)\n" }
    do throws(StoreProblem) {
      let keys = try SealingKeys(path: settings.sealingKeyPath)
      for (index, id) in keys.ids.enumerated() { text += "key \(id)\(keys.isWaiting[index] ? " waits" : "")\n" }
    } catch {
      text += "key_problem \(error.text.replacing(settings.sealingKeyPath + ": ", with: ""))\n"
    }
    return text
  }

  // MARK: Servers

  /// One server of the connection string.
  private struct Server {
    let name: String
    let parameters: [ConnectionParameter]
  }

  private var all: [Server] {
    let hosts = list("host")
    let (addresses, ports) = (list("hostaddr"), list("port"))
    return hosts.enumerated().prefix(Self.maximumServers).map { index, host in
      // libpq uses a single port for all hosts.
      let port = ports.count == 1 ? ports[0] : ports.indices.contains(index) ? ports[index] : ""
      var parameters = settings.connection.filter {
        !["host", "hostaddr", "port", "target_session_attrs"].contains($0.name)
      }
      parameters += [
        ConnectionParameter(name: "host", value: host), ConnectionParameter(name: "target_session_attrs", value: "any"),
      ]
      if addresses.indices.contains(index), addresses[index] != "" {
        parameters.append(ConnectionParameter(name: "hostaddr", value: addresses[index]))
      }
      if port != "" { parameters.append(ConnectionParameter(name: "port", value: port)) }
      return Server(name: ["", "5432"].contains(port) ? host : "\(host):\(port)", parameters: parameters)
    }
  }

  private func list(_ name: String) -> [String] {
    value(name).split(separator: ",", omittingEmptySubsequences: false).map {
      String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
  }

  private var servers: String {
    let work = ChildWork(all.map { ($0.name, $0.parameters) }, settings)
    let descriptors = work.servers.indices.map { index in
      // SAFETY: the child calls the function before this process releases the object; its memory is a copy.
      unsafe cpostgresql_start_child(
        Self.timeout, Int32(index), Unmanaged.passUnretained(work).toOpaque(),
        { index, context, text, capacity in
          guard let context = unsafe context, let text = unsafe text else { return 0 }
          let work = unsafe Unmanaged<ChildWork>.fromOpaque(context).takeUnretainedValue()
          let bytes = Array(work.description(of: Int(index)).utf8.prefix(capacity))
          return unsafe UnsafeMutableBufferPointer(start: text, count: capacity).update(fromContentsOf: bytes)
        })
    }
    var text = ""
    for (server, descriptor) in zip(work.servers, descriptors) {
      text += "server \(server.name)\n"
      let lines = descriptor < 0 ? "" : Self.read(descriptor)
      text += lines.hasSuffix("\n") ? lines : "problem no answer within \(Self.timeout) seconds\n"
    }
    return text
  }

  private static func read(_ descriptor: Int32) -> String {
    let capacity = Int(CPOSTGRESQL_CHILD_OUTPUT)
    // SAFETY: the buffer has room for the capacity.
    return unsafe String(unsafeUninitializedCapacity: capacity) { text in
      unsafe cpostgresql_read_child(descriptor, text.baseAddress, capacity)
    }
  }
}

/// The input of a child process.
private final class ChildWork {
  let servers: [(name: String, parameters: [ConnectionParameter])]
  private let settings: StoreSettings

  init(_ servers: [(name: String, parameters: [ConnectionParameter])], _ settings: StoreSettings) {
    self.servers = servers
    self.settings = settings
  }

  func description(of index: Int) -> String {
    ServerDescription(servers[index].parameters, settings: settings).text
  }
}
