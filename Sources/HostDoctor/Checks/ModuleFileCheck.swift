internal import CSetup
import HostAccess

/// Checks that the module is installed, owned by root, built for this processor and loadable.
struct ModuleFileCheck {
  let tree: HostTree
  let isUsed: Bool
  /// The absolute paths in PAM stacks.
  let paths: [String]

  private static let name = "module"
  private static let file = "pam_twofactor.so"
  private static let neighbors = ["pam_unix.so", "pam_permit.so"]

  var findings: [Finding] {
    let folders = tree.modules.folders
    guard !folders.isEmpty || !paths.isEmpty else {
      return [.skipped(Self.name, "there are no PAM modules in this tree")]
    }
    let found = folders.map { "\($0)/\(Self.file)" }.filter { tree.exists($0) } + paths
    guard !found.isEmpty else {
      let detail = "\(Self.file) is not in \(folders.first ?? "")"
      let remedy = "install the package twofactor, or run scripts/install"
      return [
        isUsed
          ? .failed(Self.name, detail + ", and PAM stacks contain it: all their logins fail", remedy: remedy)
          : .warning(Self.name, detail, remedy: remedy)
      ]
    }
    var seen: Set<String> = []
    return found.compactMap { path in seen.insert(identity(path)).inserted ? finding(path) : nil }
  }

  /// The same for all paths of a file.
  private func identity(_ path: String) -> String {
    tree.status(of: path).map { "\($0.device):\($0.inode)" } ?? path
  }

  private func finding(_ path: String) -> Finding {
    guard let status = tree.status(of: path) else {
      return .failed(
        Self.name, "\(path) does not exist, and a PAM stack contains it", remedy: "remove the path: \(Self.file)")
    }
    guard status.isRegularFile, let header = tree.bytes(of: path, upTo: 20), Self.isLibrary(header) else {
      return .failed(Self.name, "\(path) is not a shared library", remedy: "reinstall it")
    }
    guard status.owner == tree.administrator else {
      return .failed(
        Self.name, "\(path) is not owned by root: its owner can log in as anyone", remedy: "chown root:root \(path)")
    }
    guard !status.isWritableByOthers else {
      return .failed(Self.name, "\(path) is writable by others", remedy: "chmod 644 \(path)")
    }
    guard status.mode & 0o444 == 0o444 else {
      return .warning(
        Self.name,
        "\(path) cannot be read by all: screen lockers and other programs that do not run as root refuse everyone",
        remedy: "chmod 644 \(path)")
    }
    let folder = "/" + path.split(separator: "/").dropLast().joined(separator: "/")
    if let neighbor = Self.neighbors.map({ "\(folder)/\($0)" }).first(where: { tree.exists($0) }),
      let other = tree.bytes(of: neighbor, upTo: 20), Self.processor(other) != Self.processor(header)
    {
      return .failed(
        Self.name, "\(path) cannot be loaded: it was built for another processor than \(neighbor)",
        remedy: "install the module for this host")
    }
    if tree.isThisHost, let problem = loadingProblem(path) {
      return .failed(
        Self.name, "\(path) cannot be loaded: \(problem)", remedy: "install what it needs, or reinstall the module")
    }
    return .ok(Self.name, "\(path) is owned by root\(tree.isThisHost ? " and can be loaded" : "")")
  }

  /// Loads the module as libpam does; nil on success.
  private func loadingProblem(_ path: String) -> String? {
    var words = [CChar](repeating: 0, count: 512)
    // SAFETY: the function gets the size of the array, and terminates the text.
    guard unsafe csetup_try_library(path, "pam_sm_authenticate", &words, words.count) == 1 else { return nil }
    return String(terminated: words)
  }

  private static func isLibrary(_ header: [UInt8]) -> Bool {
    header.count >= 20 && header.starts(with: [0x7f, 0x45, 0x4c, 0x46]) && (header[16] == 3 || header[17] == 3)
  }

  /// Class, byte order and processor from an ELF header.
  private static func processor(_ header: [UInt8]) -> [UInt8] {
    header.count >= 20 ? [header[4], header[5], header[18], header[19]] : []
  }
}
