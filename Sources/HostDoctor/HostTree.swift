internal import CSetup
internal import CSystem
import Glibc
import HostAccess
import SystemFiles

/// The files of a host: this one, or a tree in which another one lies. In a tree every path, and every link on
/// the way, stays inside.
package struct HostTree {
  /// What stands in front of every path; empty for this host.
  package let root: String

  /// Who must own what only the administrator may change.
  package let administrator: uid_t

  private static let longestFile = 1 << 20

  /// This host.
  package init() {
    root = ""
    administrator = 0
  }

  /// The tree below a directory.
  ///
  /// - Throws: ``SetupError`` with ``ExitStatus/noSuchFile`` where there is no such directory.
  package init(root path: String, administrator: uid_t = 0) throws {
    guard let resolved = unsafe realpath(path, nil) else {
      throw SetupError(.noSuchFile, "\(path): \(Errno.current.text)")
    }
    defer { unsafe free(resolved) }
    let text = unsafe String(cString: resolved)
    var status = stat()
    guard unsafe stat(text, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw SetupError(.noSuchFile, "\(path): is not a directory")
    }
    root = text == "/" ? "" : text
    self.administrator = administrator
  }

  package var isThisHost: Bool { root.isEmpty }

  /// Where a file of the host lies for this process. Nil where a link leads nowhere.
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
      guard let target = link(root + "/" + here.joined(separator: "/")) else { continue }
      links += 1
      guard links <= 40 else { return nil }
      _ = here.popLast()
      if target.hasPrefix("/") { here = [] }
      rest += target.split(separator: "/").map(String.init).reversed()
    }
    return root + "/" + here.joined(separator: "/")
  }

  /// What a path is, links followed; nil where it is not there.
  package func status(of path: String) -> stat? {
    var status = stat()
    if isThisHost { return unsafe stat(path, &status) == 0 ? status : nil }
    let descriptor = open(path, csystem_o_path)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return unsafe fstat(descriptor, &status) == 0 ? status : nil
  }

  /// What a path is itself, also where it is a link; nil where it is not there.
  package func ownStatus(of path: String) -> stat? {
    let parts = path.split(separator: "/")
    guard let last = parts.last, let folder = place(of: "/" + parts.dropLast().joined(separator: "/")) else {
      return nil
    }
    var status = stat()
    return unsafe lstat(folder + "/" + last, &status) == 0 ? status : nil
  }

  func exists(_ path: String) -> Bool { status(of: path) != nil }

  /// The first bytes of a file, at most `limit`; nil where it is missing, unreadable or no regular file.
  func bytes(of path: String, upTo limit: Int) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16_384)
    while bytes.count < limit {
      let count = unsafe read(descriptor, &block, min(block.count, limit - bytes.count))
      if count == 0 { break }
      guard count > 0 || Errno.current == .interrupted else { return nil }
      bytes += block.prefix(max(count, 0))
    }
    return bytes
  }

  /// The text of a file; nil as with ``bytes(of:upTo:)``, and where it is too long to be one of a configuration.
  func text(of path: String) -> String? {
    guard let bytes = bytes(of: path, upTo: Self.longestFile), bytes.count < Self.longestFile else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The names in a directory, sorted; none where it cannot be read.
  func names(in path: String) -> [String] {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY)
    guard descriptor >= 0 else { return [] }
    guard let directory = unsafe fdopendir(descriptor) else {
      close(descriptor)
      return []
    }
    defer { _ = unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { start in
        unsafe start.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Opens a path, links followed; -1 where that fails. In a tree the kernel sees to it that they stay inside: whoever
  /// may change the tree, as a container that runs in it, may do so between a look at the path and its opening.
  private func open(_ path: String, _ flags: Int32) -> Int32 {
    if isThisHost { return unsafe csystem_openat(AT_FDCWD, path, flags, 0) }
    let descriptor = unsafe csetup_open_inside(root, path, flags)
    // A kernel before 5.6 does not know how.
    guard descriptor < 0, errno == ENOSYS, let place = place(of: path) else { return descriptor }
    return unsafe csystem_openat(AT_FDCWD, place, flags, 0)
  }

  private func link(_ place: String) -> String? {
    var target = [CChar](repeating: 0, count: 4_096)
    let count = unsafe readlink(place, &target, target.count - 1)
    return count > 0 ? String(terminated: target) : nil
  }
}
