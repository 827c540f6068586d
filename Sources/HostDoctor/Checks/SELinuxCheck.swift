internal import CSetup
import HostAccess
import SystemFiles

package struct EnrolledDirectory {
  let account: String
  let path: String
  /// The account on this host; nil in another tree.
  let owner: UserAccount?

  package init(account: String, path: String, owner: UserAccount? = nil) {
    self.account = account
    self.path = path
    self.owner = owner
  }
}

/// Checks that the SELinux policy has a type for enrollments, and that the files have it.
package struct SELinuxCheck {
  private enum Mode: String {
    case enforcing, permissive
  }

  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  private static let type = "twofactor_home_t"
  private static let policyName = "selinux_policy"
  private static let labelName = "selinux_label"
  private static let module = "selinux/packages/twofactor.cil"

  package func findings(of directories: [EnrolledDirectory]) -> [Finding] {
    guard let mode else { return [.skipped(Self.policyName, "SELinux is not enabled")] }
    if contexts("file_contexts.local").contains(where: { $0.contains("twofactor") && !$0.contains(Self.type) }) {
      return [.skipped(Self.policyName, "the administrator chose the labels of enrollments")]
    }
    let isKnown = ["file_contexts", "file_contexts.homedirs"].contains { file in
      contexts(file).contains { $0.contains(Self.type) }
    }
    guard isKnown else { return [missingType(mode)] }
    let wrong = directories.compactMap { wrongLabel(in: $0, mode) }
    let labels = Finding.ok(Self.labelName, "the files of \(directories.count) enrollments have their label")
    return [.ok(Self.policyName, "SELinux is \(mode.rawValue), and its policy has a type for enrollments")]
      + (wrong.isEmpty ? [labels] : wrong)
  }

  private func missingType(_ mode: Mode) -> Finding {
    let module = ["/usr/share/", "/usr/local/share/"].map { $0 + Self.module }.first { tree.exists($0) }
    // The command has a type, too.
    let paths = ["/home", "/root", ClosedDirectory.parent, "/usr/bin/twofactor", "/usr/local/bin/twofactor"]
    let folders = paths.filter(tree.exists).joined(separator: " ")
    let remedy = "semodule -i \(module ?? "twofactor.cil") && restorecon -RF \(folders)"
    switch mode {
    case .enforcing:
      return .failed(
        Self.policyName,
        "SELinux is enforcing, and its policy has no type for enrollments: login programs may not use them, and "
          + "enrolled users are refused",
        remedy: remedy)
    case .permissive:
      return .warning(
        Self.policyName,
        "SELinux is permissive, and its policy has no type for enrollments: enrolled users will be refused once it is "
          + "enforcing",
        remedy: remedy)
    }
  }

  private func wrongLabel(in directory: EnrolledDirectory, _ mode: Mode) -> Finding? {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    if let owner = directory.owner, (try? identity.assume(owner, at: directory.path)) == nil { return nil }
    for path in [directory.path, directory.path + "/credential", directory.path + "/state"] {
      guard tree.ownStatus(of: path) != nil else { continue }
      let label = label(of: path)
      guard label?.split(separator: ":").dropFirst(2).first.map(String.init) != Self.type else { continue }
      let words = "\(path) has \(label.map { "the label \($0)" } ?? "no label"), and login programs may not use it"
      let remedy = "restorecon -RF \(directory.path)"
      return mode == .enforcing
        ? .failed(Self.labelName, "\(directory.account) cannot log in: \(words)", remedy: remedy)
        : .warning(
          Self.labelName, "\(directory.account) will be refused once SELinux is enforcing: \(words)", remedy: remedy)
    }
    return nil
  }

  /// `user:role:type:level`.
  private func label(of path: String) -> String? {
    guard let place = tree.place(of: path) else { return nil }
    var text = [CChar](repeating: 0, count: 512)
    // SAFETY: the function leaves the last NUL of the array.
    let count = unsafe csetup_security_context(place, &text, text.count - 1)
    return count > 0 ? String(terminated: text) : nil
  }

  /// Nil if SELinux is disabled or not installed.
  private var mode: Mode? {
    if tree.isThisHost {
      // The file exists only if SELinux is enabled.
      return tree.text(of: "/sys/fs/selinux/enforce").map { $0.hasPrefix("1") ? .enforcing : .permissive }
    }
    return setting("SELINUX").flatMap(Mode.init(rawValue:))
  }

  private func contexts(_ file: String) -> [String] {
    tree.lines(of: "/etc/selinux/\(setting("SELINUXTYPE") ?? "targeted")/contexts/files/\(file)")
  }

  private func setting(_ name: String) -> String? {
    tree.lines(of: "/etc/selinux/config").last { $0.hasPrefix(name + "=") }
      .map { $0.dropFirst(name.count + 1).filter { !" \t\r".contains($0) } }
  }
}
