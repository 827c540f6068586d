internal import CSetup
import Glibc
import HostAccess

/// Looks at the file of the module: there, root's, for this processor, and loadable.
struct ModuleFileCheck {
  let tree: HostTree
  /// Whether a stack names the module.
  let isNamed: Bool
  /// Absolute paths by which stacks name it.
  let paths: [String]

  private static let file = "pam_twofactor.so"
  private static let neighbours = ["pam_unix.so", "pam_permit.so"]

  /// The folders in which libpam may look.
  static func folders(of tree: HostTree) -> [String] {
    var folders: [String] = []
    for library in ["/usr/lib", "/lib"] {
      folders += tree.names(in: library).map { "\(library)/\($0)/security" }
      folders += ["\(library)64/security", "\(library)/security"]
    }
    return folders.filter { folder in neighbours.contains { tree.exists("\(folder)/\($0)") } }
  }

  var findings: [Finding] {
    let name = "module"
    let folders = Self.folders(of: tree)
    guard !folders.isEmpty || !paths.isEmpty else { return [.skipped(name, "there are no PAM modules in this tree")] }
    let candidates = folders.map { "\($0)/\(Self.file)" }
    var findings: [Finding] = []
    var looked: Set<String> = []
    let found = candidates.filter { tree.exists($0) } + paths
    if found.isEmpty {
      let detail = "\(Self.file) is not in \(folders.first ?? "")"
      let remedy = "install the package twofactor, or run scripts/install"
      return [
        isNamed
          ? .failed(name, detail + ", and PAM stacks name it: nobody can log in through them", remedy: remedy)
          : .warning(name, detail, remedy: remedy)
      ]
    }
    for path in found {
      guard looked.insert(identity(path)).inserted else { continue }
      let folder = "/" + path.split(separator: "/").dropLast().joined(separator: "/")
      let neighbour = Self.neighbours.map { "\(folder)/\($0)" }.first { tree.exists($0) }
      findings.append(finding(name, path, neighbour: neighbour))
    }
    return findings
  }

  /// The same text for the same file, whatever path leads to it.
  private func identity(_ path: String) -> String {
    tree.status(of: path).map { "\($0.st_dev):\($0.st_ino)" } ?? path
  }

  private func finding(_ name: String, _ path: String, neighbour: String?) -> Finding {
    guard let status = tree.status(of: path) else {
      return .failed(
        name, "\(path) is not there, and a PAM stack names it", remedy: "name it without a path: \(Self.file)")
    }
    guard status.st_mode & S_IFMT == S_IFREG, let header = tree.bytes(of: path, upTo: 20), Self.isLibrary(header) else {
      return .failed(name, "\(path) is no shared library", remedy: "install it again")
    }
    guard status.st_uid == tree.administrator else {
      return .failed(
        name, "\(path) is not root's: whoever owns it decides who logs in", remedy: "chown root:root \(path)")
    }
    guard status.st_mode & 0o022 == 0 else {
      return .failed(name, "\(path) can be written by others", remedy: "chmod 644 \(path)")
    }
    guard status.st_mode & 0o444 == 0o444 else {
      return .warning(
        name, "\(path) cannot be read by all: programs without root's rights, as screen lockers, refuse everybody",
        remedy: "chmod 644 \(path)")
    }
    if let neighbour, let other = tree.bytes(of: neighbour, upTo: 20), Self.processor(other) != Self.processor(header) {
      return .failed(
        name, "\(path) was made for another processor than \(neighbour): it cannot be loaded",
        remedy: "install the one for this host")
    }
    if tree.isThisHost, let problem = loadingProblem(path) {
      return .failed(name, "\(path) cannot be loaded: \(problem)", remedy: "install what it needs, or the module again")
    }
    return .ok(name, "\(path) is root's\(tree.isThisHost ? " and can be loaded" : "")")
  }

  /// Loads the module as libpam does; nil where that works.
  private func loadingProblem(_ path: String) -> String? {
    var words = [CChar](repeating: 0, count: 512)
    guard unsafe csetup_try_library(path, "pam_sm_authenticate", &words, words.count) == 1 else { return nil }
    return String(terminated: words)
  }

  /// Whether it is an ELF file of the kind of a shared library.
  private static func isLibrary(_ header: [UInt8]) -> Bool {
    header.count >= 20 && header.starts(with: [0x7f, 0x45, 0x4c, 0x46]) && (header[16] == 3 || header[17] == 3)
  }

  /// Class, byte order and processor of an ELF file.
  private static func processor(_ header: [UInt8]) -> [UInt8] {
    header.count >= 20 ? [header[4], header[5], header[18], header[19]] : []
  }
}
