internal import CSetup
internal import CSystem
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// The files of this host, or of a host below a root directory, which no path or symlink can leave.
package struct HostTree {
  /// Empty for this host.
  package let root: String

  /// Must own trusted files.
  package let administrator: UserID

  /// Changed files by path, which hide those of the host (see ``replacing(_:_:)``).
  private var replacements: [String: [UInt8]] = [:]

  /// A cache, which this tree and its edited copies share.
  private final class Memory {
    var configurations: [String: [UInt8]?] = [:]
    var modules: (folders: [String], files: Set<String>)?
    var combinations = 0
  }

  private let memory = Memory()

  private static let maximumTextLength = 1 << 20

  /// Of all services together, for hostile trees. A host with 60 services needs 4,000.
  private static let maximumCombinations = 150_000

  /// The kernel's limit (path_resolution(7)).
  private static let maximumSymlinks = 40

  package init() {
    root = ""
    administrator = .root
  }

  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchFile``.
  package init(root path: String, administrator: UserID = .root) throws {
    // SAFETY: realpath(3) returns a NUL-terminated string, which is freed.
    guard let resolved = unsafe realpath(path, nil) else {
      throw SetupError(.noSuchFile, "\(path): \(Errno.current.text)")
    }
    defer { unsafe free(resolved) }
    let text = unsafe String(cString: resolved)
    guard let status = try? unsafe FileStatus(of: text, followsSymlink: true), status.isDirectory else {
      throw SetupError(.noSuchFile, "\(path): is not a directory")
    }
    root = text == "/" ? "" : text
    self.administrator = administrator
  }

  package var isThisHost: Bool { root.isEmpty }

  var isEdited: Bool { !replacements.isEmpty }

  /// The path for this process; nil if symlinks form a loop.
  func place(of path: String) -> String? {
    guard !isThisHost else { return path }
    var rest = Array(path.split(separator: "/").map(String.init).reversed())
    var here: [String] = []
    var links = 0
    while let name = rest.popLast() {
      if name == "." { continue }
      if name == ".." {
        _ = here.popLast()
        continue
      }
      here.append(name)
      guard let target = target(of: root + "/" + here.joined(separator: "/")) else { continue }
      links += 1
      guard links <= Self.maximumSymlinks else { return nil }
      _ = here.popLast()
      if target.hasPrefix("/") { here = [] }
      rest += target.split(separator: "/").map(String.init).reversed()
    }
    return root + "/" + here.joined(separator: "/")
  }

  /// Follows symlinks; nil if the file does not exist.
  package func status(of path: String) -> FileStatus? {
    // SAFETY: the string is NUL-terminated.
    if isThisHost { return try? unsafe FileStatus(of: path, followsSymlink: true) }
    return try? open(path, csystem_o_path)?.status()
  }

  /// Does not follow a symlink in the last component; nil if the path does not exist.
  package func ownStatus(of path: String) -> FileStatus? {
    // SAFETY: the string is NUL-terminated.
    if isThisHost { return try? unsafe FileStatus(of: path, followsSymlink: false) }
    let parts = path.split(separator: "/")
    guard let last = parts.last else { return status(of: path) }
    var name = ByteText(capacity: last.utf8.count)
    name.append(Array(last.utf8).span)
    return try? open("/" + parts.dropLast().joined(separator: "/"), csystem_o_path | O_DIRECTORY)?.status(of: name)
  }

  func exists(_ path: String) -> Bool { replacements[path] != nil || status(of: path) != nil }

  /// A copy of the tree with another text in a file. Does not change the host.
  func replacing(_ path: String, _ text: String) -> HostTree {
    var copy = self
    copy.replacements[path] = Array(text.utf8)
    return copy
  }

  /// Whether fscrypt encrypts the directory.
  func isEncrypted(_ path: String) -> Bool {
    guard let file = open(path, csystem_o_path | O_DIRECTORY) else { return false }
    return csetup_is_encrypted(file.descriptor) != 0
  }

  /// Whether fscrypt encrypts the directory and its key is absent, so that lookups of existing names fail.
  func hidesNames(_ path: String) -> Bool {
    (try? open(path, csystem_o_path | O_DIRECTORY)?.hidesNames()) ?? false
  }

  /// Nil if the path is not a directory.
  func directory(_ path: String) -> OpenFile? { open(path, csystem_o_path | O_DIRECTORY) }

  /// Nil if the path is not a readable regular file.
  package func bytes(of path: String, upTo limit: Int) -> [UInt8]? {
    if let bytes = replacements[path] { return Array(bytes.prefix(limit)) }
    guard let file = open(path, O_RDONLY | O_NONBLOCK), (try? file.status())?.isRegularFile == true else { return nil }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16_384)
    while bytes.count < limit {
      // SAFETY: read(2) gets the size of the array.
      let count = unsafe read(file.descriptor, &block, min(block.count, limit - bytes.count))
      if count == 0 { break }
      guard count > 0 || Errno.current == .interrupted else { return nil }
      bytes += block.prefix(max(count, 0))
    }
    return bytes
  }

  /// Nil if the path is not a readable regular file, or too long for a configuration. Each file is read once.
  func configurationBytes(of path: String) -> [UInt8]? {
    if replacements[path] == nil, let known = memory.configurations[path] { return known }
    let found = bytes(of: path, upTo: Self.maximumTextLength)
    let bytes = found.flatMap { $0.count < Self.maximumTextLength ? $0 : nil }
    if replacements[path] == nil { memory.configurations[path] = .some(bytes) }
    return bytes
  }

  /// Counts a combination of module results. Returns false if too many were tried on the host and its edited copies.
  func mayTryCombination() -> Bool {
    memory.combinations += 1
    return memory.combinations <= Self.maximumCombinations
  }

  /// The modules of the host, which edits do not change.
  var modules: InstalledModules {
    let modules = memory.modules ?? InstalledModules.find(in: self)
    memory.modules = modules
    return InstalledModules(folders: modules.folders, files: modules.files, tree: self)
  }

  /// As ``configurationBytes(of:)``.
  func text(of path: String) -> String? { configurationBytes(of: path).map { String(decoding: $0, as: UTF8.self) } }

  /// Empty if unreadable.
  func lines(of path: String) -> [String] { Self.lines(text(of: path) ?? "").filter { !$0.isEmpty }.map(String.init) }

  /// The lines with empty ones. As characters, a carriage return and a newline are one, which is no newline.
  static func lines(_ text: String) -> [Substring] {
    text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Substring.init)
  }

  /// Sorted; empty if unreadable.
  func names(in path: String) -> [String] {
    let prefix = path + "/"
    var names = Set(
      replacements.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count).prefix { $0 != "/" }) })
    if let directory = open(path, O_RDONLY | O_DIRECTORY), var entries = try? directory.names() {
      while let entry = entries.next() { names.insert(String(decoding: entry.bytes)) }
    }
    return names.subtracting([".", ".."]).sorted()
  }

  /// The paths that a pattern of glob(7) matches, sorted. A path without wildcards need not exist.
  func files(matching pattern: String) -> [String] {
    var found = [""]
    for part in pattern.split(separator: "/").map(String.init) {
      guard part.contains(where: { "*?[\\".contains($0) }) else {
        found = found.map { "\($0)/\(part)" }
        continue
      }
      found = found.flatMap { folder in
        // SAFETY: both strings are NUL-terminated.
        names(in: folder).filter { unsafe fnmatch(part, $0, FNM_PERIOD) == 0 }.map { "\(folder)/\($0)" }
      }
    }
    return found
  }

  /// The kernel resolves the path inside the root directory, because a container in it could exchange files between
  /// check and use.
  private func open(_ path: String, _ flags: Int32) -> OpenFile? {
    // SAFETY: the strings are NUL-terminated.
    var descriptor =
      unsafe isThisHost
      ? csystem_openat(AT_FDCWD, path, flags, 0) : csetup_open_inside(root, path, flags)
    // Linux before 5.6 has no openat2(2).
    if descriptor < 0, !isThisHost, errno == ENOSYS, let place = place(of: path) {
      descriptor = unsafe csystem_openat(AT_FDCWD, place, flags, 0)
    }
    return descriptor < 0 ? nil : OpenFile(owning: descriptor)
  }

  /// The target of a symlink on this host; nil if the file is no symlink.
  func target(of place: String) -> String? {
    var target = [CChar](repeating: 0, count: 4_096)
    // SAFETY: readlink(2) leaves the last NUL of the array.
    let count = unsafe readlink(place, &target, target.count - 1)
    return count > 0 ? String(terminated: target) : nil
  }
}
