/// The PAM modules in a tree.
struct InstalledModules {
  /// The folders that contain modules of Linux-PAM.
  let folders: [String]
  private let files: Set<String>
  private let tree: HostTree

  private static let markers = ["pam_unix.so", "pam_permit.so", "pam_deny.so"]

  init(folders: [String], files: Set<String>, tree: HostTree) {
    (self.folders, self.files, self.tree) = (folders, files, tree)
  }

  static func find(in tree: HostTree) -> (folders: [String], files: Set<String>) {
    var folders: [String] = []
    for library in ["/usr/lib", "/lib"] {
      folders += tree.names(in: library).map { "\(library)/\($0)/security" }
      folders += ["\(library)64/security", "\(library)/security"]
    }
    folders = folders.filter { folder in markers.contains { tree.exists("\(folder)/\($0)") } }
    return (folders, Set(folders.flatMap { tree.names(in: $0) }))
  }

  /// Whether libpam cannot load a module of a rule. Returns false if the tree has no modules at all.
  func lack(_ module: String) -> Bool {
    guard !folders.isEmpty else { return false }
    // libpam replaces `$ISA` with the folder of the architecture.
    if module.contains("$ISA") { return !files.contains(module.split(separator: "/").last.map(String.init) ?? "") }
    if !module.contains("/") { return !files.contains(module) }
    let paths = module.hasPrefix("/") ? [module] : folders.map { "\($0)/\(module)" }
    return !paths.contains { tree.status(of: $0)?.isDirectory == false }
  }
}
