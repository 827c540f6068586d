/// The directives of ProFTPD that decide how a password is checked.
struct ProFTPDConfiguration {
  struct Directive {
    let file: String
    let line: Int
    let values: [String]

    var isOff: Bool { values.first.map { ["off", "no", "false", "0"].contains($0.asciiLowercased) } ?? false }

    func replaced(by text: String) -> Edit { .replace(file: file, line: line, text: text) }
  }

  struct Server {
    /// The line that begins the server; nil for the main server.
    fileprivate let start: Directive?
    fileprivate let file: String
    /// The line of an `AuthOrder` that is commented out.
    fileprivate var suggestion: Int?
    fileprivate var own: [String: Directive] = [:]
    fileprivate var shared: [String: Directive] = [:]

    var place: String { (authOrder ?? start).map { "\($0.file), line \($0.line)" } ?? file }
    var authOrder: Directive? { directive("authorder") }
    var authPAM: Directive? { directive("authpam") }
    var authPAMConfig: Directive? { directive("authpamconfig") }

    private func directive(_ name: String) -> Directive? { own[name] ?? shared[name] }

    func addition(_ text: String) -> Edit {
      if let start { return .insertAfter(file: start.file, line: start.line, text: text) }
      if let suggestion { return .replace(file: file, line: suggestion, text: text) }
      return .append(file: file, text: text)
    }
  }

  /// The main server and the `<VirtualHost>` blocks; empty if ProFTPD is not configured.
  var servers: [Server] {
    read.map { server in
      var server = server
      server.shared = global
      return server
    }
  }

  private let tree: HostTree
  private var read: [Server] = []
  private var global: [String: Directive] = [:]
  /// The sections that enclose the current line.
  private var sections: [Section] = []
  private var modules: Set<String> = [
    "mod_auth.c", "mod_auth_file.c", "mod_auth_pam.c", "mod_auth_unix.c", "mod_core.c", "mod_dso.c",
  ]
  private var files = 0
  private var bytes = 0

  private enum Section {
    case global
    case virtualHost
    /// A condition that is met.
    case condition
    /// Other sections, in which the directives are not allowed, and conditions that are not met.
    case other
  }

  private static let paths = ["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"]
  private static let directives: Set = ["authorder", "authpam", "authpamconfig"]
  private static let maximumDepth = 16
  private static let maximumFiles = 200
  /// Of all files together.
  private static let maximumBytes = 1 << 20

  init(_ tree: HostTree) {
    self.tree = tree
    guard let path = Self.paths.first(where: { tree.exists($0) }) else { return }
    read = [Server(start: nil, file: path)]
    read(path, depth: 0)
  }

  private mutating func read(_ path: String, depth: Int) {
    files += 1
    guard depth < Self.maximumDepth, files <= Self.maximumFiles, let text = tree.text(of: path) else { return }
    bytes += text.utf8.count
    guard bytes <= Self.maximumBytes else { return }
    for (index, line) in HostTree.lines(text).enumerated() {
      let words = Self.words(line)
      guard let name = words.first?.asciiLowercased else {
        if depth == 0, sections.isEmpty, Self.words(line.drop { "# \t".contains($0) }).first == "AuthOrder" {
          read[0].suggestion = index + 1
        }
        continue
      }
      take(name, Directive(file: path, line: index + 1, values: Array(words.dropFirst())), depth)
    }
  }

  private mutating func take(_ name: String, _ directive: Directive, _ depth: Int) {
    if name.hasPrefix("</") {
      _ = sections.popLast()
    } else if name.hasPrefix("<") {
      let section = section(name, directive.values.first ?? "")
      if section == .virtualHost { read.append(Server(start: directive, file: directive.file)) }
      sections.append(section)
    } else if sections.contains(.other) {
      return
    } else if name == "include" {
      for file in directive.values.first.map(includes) ?? [] { read(file, depth: depth + 1) }
    } else if name == "loadmodule" {
      modules.formUnion(directive.values.prefix(1))
    } else if Self.directives.contains(name) {
      // ProFTPD rejects a second AuthOrder, and uses the first of the others.
      if sections.contains(.global) {
        if global[name] == nil { global[name] = directive }
      } else {
        let server = sections.contains(.virtualHost) ? read.count - 1 : 0
        if read[server].own[name] == nil { read[server].own[name] = directive }
      }
    }
  }

  private func section(_ name: String, _ value: String) -> Section {
    let value = value.hasSuffix(">") ? String(value.dropLast()) : value
    switch name {
    case "<global>": return .global
    case "<virtualhost": return sections.contains(.other) ? .other : .virtualHost
    case "<ifmodule":
      let isNegated = value.hasPrefix("!")
      return modules.contains(isNegated ? String(value.dropFirst()) : value) != isNegated ? .condition : .other
    // Symbols are defined on the command line.
    case "<ifdefine": return value.hasPrefix("!") ? .condition : .other
    default: return .other
    }
  }

  /// Expands a path, a pattern or a directory to files.
  private func includes(_ pattern: String) -> [String] {
    tree.files(matching: pattern).flatMap { path in
      tree.status(of: path)?.isDirectory == true ? tree.names(in: path).map { "\(path)/\($0)" } : [path]
    }
  }

  /// Splits at blanks outside quotes, up to a comment.
  private static func words(_ line: Substring) -> [String] {
    var words: [String] = []
    var word = ""
    var isQuoted = false
    for character in line {
      if character == "\"" {
        isQuoted.toggle()
      } else if !isQuoted, character == "#", word.isEmpty {
        break
      } else if !isQuoted, character == " " || character == "\t" || character == "\r" {
        if !word.isEmpty { words.append(word) }
        word = ""
      } else {
        word.append(character)
      }
    }
    return word.isEmpty ? words : words + [word]
  }
}
