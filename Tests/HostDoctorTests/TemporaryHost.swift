import Foundation
import SystemFiles

@testable import HostDoctor

/// A host in a temporary folder, removed with the value. The user who runs the tests is its administrator.
final class TemporaryHost {
  private let root: URL

  /// Writes the text of each file, by its path in the host.
  init(_ files: [String: String] = [:]) throws {
    root = FileManager.default.temporaryDirectory.appending(path: "host-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    for (path, text) in files { try write(path, text) }
  }

  deinit { try? FileManager.default.removeItem(at: root) }

  /// The path by which the test reaches a file.
  func place(_ path: String) -> String { root.path + path }

  func write(_ path: String, _ text: String, mode: Int = 0o644) throws {
    let url = URL(filePath: place(path))
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
    try change(path, mode: mode)
  }

  /// Creates a directory and its parents.
  func makeDirectory(_ path: String, mode: Int = 0o755) throws {
    try FileManager.default.createDirectory(at: URL(filePath: place(path)), withIntermediateDirectories: true)
    try change(path, mode: mode)
  }

  /// Creates the register of enrolled users with its group, that of the user who runs the tests.
  func makeRegister(_ users: UInt32..., mode: Int = 0o1730) throws {
    try write("/etc/group", "root:x:0:\n_twofactor:x:\(getgid()):\nstaff:x:50:alice\n")
    try makeDirectory("/var/lib/twofactor/enrolled")
    for user in users { try write("/var/lib/twofactor/enrolled/\(user)", "", mode: 0o600) }
    try change("/var/lib/twofactor/enrolled", mode: mode)
  }

  /// Creates the host store and the helper with their group, that of the user who runs the tests.
  func makeHostStore(mode: Int = 0o1730, helper: Int = 0o2755) throws {
    try write("/etc/group", "root:x:0:\n_twofactor:x:\(getgid()):\n")
    try makeDirectory("/var/lib/twofactor/users", mode: mode)
    try write("/usr/libexec/twofactor/twofactor-helper", "", mode: helper)
  }

  func link(_ path: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: place(path), withDestinationPath: target)
  }

  func change(_ path: String, mode: Int) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: place(path))
  }

  /// Lends a tree, which reads each file once, for the length of a call, at the end of which the folder still exists.
  func read<Result>(_ body: (HostTree) throws -> Result) rethrows -> Result {
    guard let tree = try? HostTree(root: root.path, administrator: UserID(rawValue: getuid())) else {
      fatalError("\(root.path) is no directory")
    }
    return try withExtendedLifetime(self) { try body(tree) }
  }

  /// The stacks of a service.
  func stack(_ service: String) throws -> PAMServiceStacks { read { PAMConfiguration(tree: $0).stacks(of: service) } }
}

extension Finding {
  /// Name and status, as `pam_order failed`.
  var summary: String { "\(name) \(status.rawValue)" }
}
