internal import CSetup
import Glibc
import HostAccess

/// Looks at SELinux: whether the policy knows the files of an enrolment, and whether they have their label.
package struct SELinuxCheck {
  /// What the host does about its policy.
  private enum Mode: String {
    case enforcing, permissive
  }

  let tree: HostTree

  package init(tree: HostTree) { self.tree = tree }

  /// The type of the policy module.
  private static let type = "twofactor_home_t"
  private static let policyName = "selinux_policy"
  private static let labelName = "selinux_label"
  private static let module = "doc/twofactor/examples/selinux/twofactor.cil"

  /// What there is to say of the policy, and of the directories of enrolments.
  package func findings(of directories: [EnrolledDirectory]) -> [Finding] {
    guard let mode else { return [.skipped(Self.policyName, "there is no SELinux here")] }
    if contexts("file_contexts.local").contains(where: { $0.contains("twofactor") && !$0.contains(Self.type) }) {
      return [.skipped(Self.policyName, "the labels of enrolments are the administrator's own")]
    }
    let isKnown = ["file_contexts", "file_contexts.homedirs"].contains { file in
      contexts(file).contains { $0.contains(Self.type) }
    }
    guard isKnown else { return [unknown(mode)] }
    let wrong = directories.compactMap { self.wrong($0, mode) }
    return [.ok(Self.policyName, "SELinux is \(mode.rawValue), and its policy knows the files of an enrolment")]
      + (wrong.isEmpty ? [.ok(Self.labelName, "the files of \(directories.count) enrolments have their label")] : wrong)
  }

  private func unknown(_ mode: Mode) -> Finding {
    let module = ["/usr/share/", "/usr/local/share/"].map { $0 + Self.module }.first { tree.exists($0) }
    let remedy = "semodule -i \(module ?? "twofactor.cil") && restorecon -RF /home /root"
    switch mode {
    case .enforcing:
      return .failed(
        Self.policyName,
        "SELinux is enforcing, and its policy has no type for ~/.twofactor: login programs may not use it, and "
          + "whoever is enrolled is refused",
        remedy: remedy)
    case .permissive:
      return .warning(
        Self.policyName,
        "SELinux is permissive, and its policy has no type for ~/.twofactor: once it is enforcing, whoever is "
          + "enrolled is refused",
        remedy: remedy)
    }
  }

  /// The first of a directory and its files that has another label.
  private func wrong(_ directory: EnrolledDirectory, _ mode: Mode) -> Finding? {
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

  /// A file's context, as user:role:type:level.
  private func label(of path: String) -> String? {
    guard let place = tree.place(of: path) else { return nil }
    var text = [CChar](repeating: 0, count: 512)
    let count = unsafe csetup_security_context(place, &text, text.count - 1)
    return count > 0 ? String(terminated: text) : nil
  }

  private var mode: Mode? {
    if tree.isThisHost {
      // A file of the kernel, there only where SELinux is in force.
      return tree.text(of: "/sys/fs/selinux/enforce").map { $0.hasPrefix("1") ? .enforcing : .permissive }
    }
    return setting("SELINUX").flatMap(Mode.init(rawValue:))
  }

  /// The lines of a file in which the policy says what label which path has.
  private func contexts(_ file: String) -> [String] {
    let folder = "/etc/selinux/\(setting("SELINUXTYPE") ?? "targeted")/contexts/files"
    return (tree.text(of: "\(folder)/\(file)") ?? "").split(separator: "\n").map(String.init)
  }

  private func setting(_ name: String) -> String? {
    (tree.text(of: "/etc/selinux/config") ?? "").split(separator: "\n")
      .last { $0.hasPrefix(name + "=") }
      .map { $0.dropFirst(name.count + 1).filter { !" \t\r".contains($0) } }
  }
}
