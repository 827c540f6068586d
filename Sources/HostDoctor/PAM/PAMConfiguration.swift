import HostAccess

/// A line that libpam rejects or cannot follow.
struct PAMProblem: Equatable {
  let file: String
  let line: Int
  /// Completes `FILE, line N, …`.
  let words: String
  /// The line without the words of its continuation.
  let text: String
}

/// The stacks of a service, as libpam loads them.
struct PAMServiceStacks {
  let service: String
  /// The service's own file; nil if it has none, so that `other` applies.
  let path: String?
  fileprivate(set) var chains: [PAMFacility: PAMChain] = [:]
  /// Whether libpam rejects the service, and refuses every call.
  fileprivate(set) var isAborted = false
  fileprivate(set) var problems: [PAMProblem] = []
  /// The first line that includes a file, by the path of the file.
  fileprivate(set) var origins: [String: Origin] = [:]
  /// Why the stacks cannot be evaluated; nil if they can.
  fileprivate(set) var obstacle: String?

  struct Origin: Equatable {
    let file: String
    let line: Int
    let target: String
    /// Nil for `@include`.
    let facility: PAMFacility?
    let isSubstack: Bool
  }

  /// Empty if libpam refuses every call for this facility.
  func chain(_ facility: PAMFacility) -> PAMChain {
    isAborted ? PAMChain(handlers: []) : chains[facility] ?? PAMChain(handlers: [])
  }
}

/// The PAM configuration of a host. Caches the files that it has read.
final class PAMConfiguration {
  let tree: HostTree

  /// Whether libpam has the patches of Debian: `@include`, includes in `/etc/pam.d` alone, and jumps that
  /// pam_setcred(3) ignores.
  let isDebian: Bool

  /// libpam reads `pam.conf` only without these folders.
  private let hasFolders: Bool

  private var files: [String: PAMFile] = [:]
  private var stacks: [String: PAMServiceStacks] = [:]

  private static let singleFile = "/etc/pam.conf"

  static let other = "other"

  init(tree: HostTree) {
    self.tree = tree
    isDebian = Self.isDebian(tree)
    hasFolders = PAMService.folders.contains { tree.status(of: $0)?.isDirectory == true }
  }

  /// A tree without these files is assumed to be like this host.
  private static func isDebian(_ tree: HostTree) -> Bool {
    if tree.exists("/etc/debian_version") { return true }
    let texts = ["/etc/os-release", "/usr/lib/os-release"].compactMap(tree.text(of:))
    guard let text = texts.first else { return !tree.isThisHost && isDebian(HostTree()) }
    return text.split(separator: "\n").contains { line in
      (line.hasPrefix("ID=") || line.hasPrefix("ID_LIKE=")) && (line.contains("debian") || line.contains("ubuntu"))
    }
  }

  /// The names of all services, sorted, with `other`. libpam converts names to lower case.
  var services: [String] {
    var names: Set<String> = [Self.other]
    if hasFolders {
      for folder in PAMService.folders {
        names.formUnion(tree.names(in: folder).filter { tree.status(of: "\(folder)/\($0)")?.isDirectory == false })
      }
    } else if let file = file(Self.singleFile) {
      names.formUnion(file.statements.compactMap(\.service))
    }
    return names.filter { $0 == $0.asciiLowercased }.sorted()
  }

  /// The file of a service; nil if it has none.
  func path(of name: String) -> String? {
    guard hasFolders else { return nil }
    return path(of: name, in: PAMService.folders)
  }

  private func path(of name: String, in folders: [String]) -> String? {
    if name.hasPrefix("/") { return tree.exists(name) ? name : nil }
    return folders.map { "\($0)/\(name)" }.first { tree.exists($0) }
  }

  /// The file that a line includes; nil if libpam does not find it.
  func path(ofInclude target: String) -> String? { path(of: target, in: includeFolders) }

  private var includeFolders: [String] { isDebian ? Array(PAMService.folders.prefix(1)) : PAMService.folders }

  func stacks(of service: String) -> PAMServiceStacks {
    if let known = stacks[service] { return known }
    var loaded = load(service)
    if service != Self.other {
      let other = stacks(of: Self.other)
      // A broken `other` breaks every service.
      loaded.isAborted = loaded.isAborted || other.isAborted
      loaded.obstacle = loaded.obstacle ?? other.obstacle
      for facility in PAMFacility.allCases where loaded.chains[facility] == nil {
        loaded.chains[facility] = other.chains[facility]
      }
      if loaded.path == nil || other.isAborted { loaded.problems += other.problems }
    }
    stacks[service] = loaded
    return loaded
  }

  private func load(_ service: String) -> PAMServiceStacks {
    guard hasFolders else {
      var loader = PAMLoader(self, service: service, path: nil)
      loader.loadSingleFile(Self.singleFile)
      return loader.stacks
    }
    let path = path(of: service)
    var loader = PAMLoader(self, service: service, path: path)
    if let path { loader.load(path) }
    return loader.stacks
  }

  /// Nil if the file is unreadable, no regular file, or too long.
  fileprivate func file(_ path: String) -> PAMFile? {
    if let known = files[path] { return known }
    // libpam reads a directory as an empty file.
    let isDirectory = tree.status(of: path)?.isDirectory == true
    guard let bytes = isDirectory ? [] : tree.configurationBytes(of: path) else { return nil }
    let file = PAMFile(path: path, bytes: bytes, hasServices: !hasFolders && path == Self.singleFile)
    files[path] = file
    return file
  }
}

/// Loads the stacks of a service as `_pam_parse_conf_file` of libpam does.
private struct PAMLoader {
  private let configuration: PAMConfiguration
  private(set) var stacks: PAMServiceStacks
  private var handlers: [PAMFacility: [PAMHandler]] = [:]
  private var filesRead = 0

  /// libpam's limit of nested substacks.
  private static let maximumLevel = 16

  /// Only loops of includes are deeper. libpam 1.5 fails when it runs out of descriptors, 1.7 at 16.
  private static let maximumDepth = 64

  private static let maximumHandlers = 4_096
  private static let maximumFiles = 1_024
  private static let maximumProblems = 16

  init(_ configuration: PAMConfiguration, service: String, path: String?) {
    self.configuration = configuration
    stacks = PAMServiceStacks(service: service, path: path)
  }

  mutating func load(_ path: String) {
    guard let file = configuration.file(path) else { return reportUnreadable(path) }
    finish(load(file, requested: nil, level: 0, depth: 0))
  }

  mutating func loadSingleFile(_ path: String) {
    guard let file = configuration.file(path) else {
      stacks.isAborted = true
      return
    }
    finish(load(file, requested: nil, level: 0, depth: 0))
  }

  private mutating func finish(_ isLoaded: Bool) {
    stacks.isAborted = stacks.isAborted || !isLoaded
    stacks.chains = handlers.mapValues(PAMChain.init)
  }

  private mutating func reportUnreadable(_ path: String) {
    stacks.obstacle = stacks.obstacle ?? "\(path) is unreadable, too long or no regular file"
  }

  /// Returns whether libpam accepts the file.
  private mutating func load(_ file: PAMFile, requested: PAMFacility?, level: Int, depth: Int) -> Bool {
    filesRead += 1
    if let (line, words) = file.ambiguity {
      let place = "\(file.path), line \(line)"
      stacks.obstacle = stacks.obstacle ?? "\(place), \(words): releases of libpam read it differently"
    }
    for statement in file.statements where statement.service == nil || statement.service == stacks.service {
      guard filesRead <= Self.maximumFiles, handlers.values.allSatisfy({ $0.count < Self.maximumHandlers }) else {
        stacks.obstacle = stacks.obstacle ?? "\(file.path) includes too many lines"
        return true
      }
      guard load(statement, of: file, requested: requested, level: level, depth: depth) else { return false }
    }
    guard let line = file.unfinishedLine else { return true }
    report("is continued, but the file ends", file, line, "\\")
    return false
  }

  private mutating func load(
    _ statement: PAMStatement, of file: PAMFile, requested: PAMFacility?, level: Int, depth: Int
  ) -> Bool {
    if case .includeAll(let target) = statement.body {
      guard configuration.isDebian else {
        // Other builds parse the word as an unknown type, and the file name as the control value.
        report("has the unknown type \"@include\"", file, statement)
        add(.failing, requested ?? .auth, level, .failing)
        return true
      }
      let isLoaded = include(
        target, statement, file, facility: requested, isSubstack: false, level: level, depth: depth)
      guard !isLoaded else { return true }
      guard let requested else { return false }
      stacks.obstacle =
        stacks.obstacle ?? "\(file.path), line \(statement.line), fails: the behavior of libpam is undefined after that"
      add(.failing, requested, level, .failing)
      return true
    }
    let facility = statement.facility ?? requested ?? .auth
    if let requested, facility != requested { return true }
    if let flaw = statement.flaw { report(flaw, file, statement) }
    switch statement.body {
    case .rule(let rule): add(.module(rule), facility, level, rule.control)
    case .failing(let control): add(.failing, facility, level, control)
    case .include(let target, let isSubstack):
      if isSubstack { add(.substack, facility, level, .failing) }
      let isLoaded = include(
        target, statement, file, facility: facility, isSubstack: isSubstack, level: level, depth: depth)
      if !isLoaded { add(.failing, facility, level, .failing) }
    case .fatal: return false
    case .includeAll: break
    }
    return true
  }

  private mutating func include(
    _ target: String?, _ statement: PAMStatement, _ file: PAMFile, facility: PAMFacility?, isSubstack: Bool, level: Int,
    depth: Int
  ) -> Bool {
    guard let target else {
      report("names no file to include", file, statement)
      // Debian's libpam dereferences a null pointer.
      if configuration.isDebian { stacks.isAborted = true }
      return false
    }
    let level = level + (isSubstack ? 1 : 0)
    guard level < Self.maximumLevel, depth < Self.maximumDepth else {
      report("includes \(target) too deeply", file, statement)
      return false
    }
    guard let path = configuration.path(ofInclude: target) else {
      report("includes a file that does not exist: \(target)", file, statement)
      return false
    }
    if stacks.origins[path] == nil {
      stacks.origins[path] = PAMServiceStacks.Origin(
        file: file.path, line: statement.line, target: target, facility: facility, isSubstack: isSubstack)
    }
    guard let included = configuration.file(path) else {
      reportUnreadable(path)
      return false
    }
    return load(included, requested: facility, level: level, depth: depth + 1)
  }

  private mutating func add(_ kind: PAMHandler.Kind, _ facility: PAMFacility, _ level: Int, _ control: PAMControl) {
    handlers[facility, default: []].append(PAMHandler(kind: kind, level: level, control: control))
  }

  private mutating func report(_ words: String, _ file: PAMFile, _ statement: PAMStatement) {
    report(words, file, statement.line, statement.text)
  }

  private mutating func report(_ words: String, _ file: PAMFile, _ line: Int, _ text: String) {
    let problem = PAMProblem(file: file.path, line: line, words: words, text: text)
    guard stacks.problems.count < Self.maximumProblems else {
      stacks.obstacle = stacks.obstacle ?? "\(file.path), line \(line): there are too many invalid lines"
      return
    }
    if !stacks.problems.contains(problem) { stacks.problems.append(problem) }
  }
}
