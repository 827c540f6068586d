import Glibc
import HostDoctor

/// The files of an input: each begins with the byte of its path, and ends before the next 0x01.
private let paths: [UInt8: String] = [
  UInt8(ascii: "a"): "etc/pam.d/common-auth", UInt8(ascii: "b"): "etc/pam.d/second",
  UInt8(ascii: "o"): "etc/pam.d/other",
  UInt8(ascii: "s"): "etc/pam.d/sshd", UInt8(ascii: "t"): "etc/pam.d/twofactor", UInt8(ascii: "p"): "etc/pam.conf",
  UInt8(ascii: "d"): "etc/debian_version", UInt8(ascii: "S"): "etc/ssh/sshd_config",
  UInt8(ascii: "D"): "etc/ssh/sshd_config.d/1.conf", UInt8(ascii: "c"): "etc/security/twofactor.conf",
  UInt8(ascii: "P"): "etc/proftpd/proftpd.conf", UInt8(ascii: "n"): "etc/nsswitch.conf",
  UInt8(ascii: "u"): "etc/passwd",
  UInt8(ascii: "g"): "etc/group", UInt8(ascii: "f"): "etc/fstab",
]

private let folders = [
  "", "/etc", "/etc/pam.d", "/etc/ssh", "/etc/ssh/sshd_config.d", "/etc/security", "/etc/proftpd",
]

// SAFETY: libFuzzer calls the targets from one thread.
/// The tree that receives the files of each input.
nonisolated(unsafe) private var root: String?

private let needs: Set<String> = ["nothing", "password", "code", "code or password", "password+code", "refused"]

/// Evaluates the stacks of every service: the result is the same each time, and without pam_twofactor, enrollment makes
/// no difference.
func fuzzServices(_ bytes: [UInt8]) {
  let services = ServiceSurvey(tree: tree(of: bytes)).services
  require(services.contains { $0.service == "other" }, "the service other is absent")
  for service in services {
    require((service.enrolled == nil) == (service.problem != nil), "a service without needs and without a problem")
    require((service.unenrolled == nil) == (service.problem != nil), "a service without needs and without a problem")
    for text in [service.enrolled?.text, service.unenrolled?.text] {
      require(text.map(needs.contains) ?? true, "unknown needs")
    }
  }
  // Not after 10,000 combinations, which take seconds with a sanitizer.
  guard services.allSatisfy({ $0.problem == nil }) else { return }
  let again = ServiceSurvey(tree: tree(of: bytes)).services
  require(again.map(\.enrolled) == services.map(\.enrolled), "another result the second time")
  guard !contains("twofactor", in: bytes) else { return }
  require(services.map(\.enrolled) == services.map(\.unenrolled), "enrollment counts without the module")
}

/// Each finding has a detail, and each problem a remedy.
func fuzzDoctor(_ bytes: [UInt8]) {
  for finding in HostExamination(tree: tree(of: bytes), account: nil).findings {
    require(!finding.detail.isEmpty, "a finding without a detail")
    let isProblem = finding.status == .failed || finding.status == .warning
    require(isProblem == (finding.remedy?.isEmpty == false), "a problem without a remedy")
  }
}

/// Writes the files of an input.
private func tree(of bytes: [UInt8]) -> HostTree {
  var files: [UInt8: ArraySlice<UInt8>] = [:]
  for part in bytes.split(separator: 1) where part.count > 1 { files[part[part.startIndex]] = part.dropFirst() }
  let root = folder()
  for (letter, path) in paths {
    guard let content = files[letter] else {
      // SAFETY: the path is NUL-terminated.
      _ = unsafe unlink("\(root)/\(path)")
      continue
    }
    // SAFETY: the path is NUL-terminated; write(2) gets the size of the content.
    let descriptor = unsafe open("\(root)/\(path)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    let written = unsafe content.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    require(written == content.count, "\(path) cannot be written")
    close(descriptor)
  }
  guard let tree = try? HostTree(root: root) else { fatalError("\(root) is no tree") }
  return tree
}

/// Creates the folders of the tree once, in memory.
private func folder() -> String {
  if let root = unsafe root { return root }
  let path = "/dev/shm/twofactor-fuzz-\(getpid())"
  for name in folders {
    // SAFETY: the path is NUL-terminated.
    require(unsafe mkdir(path + name, 0o755) == 0, "\(path)\(name) cannot be created")
  }
  unsafe root = path
  atexit { removeFolder() }
  return path
}

private func removeFolder() {
  guard let root = unsafe root else { return }
  // SAFETY: the paths are NUL-terminated.
  for path in paths.values { _ = unsafe unlink("\(root)/\(path)") }
  for name in folders.reversed() { _ = unsafe rmdir(root + name) }
}

private func contains(_ word: String, in bytes: [UInt8]) -> Bool {
  let word = Array(word.utf8)
  return bytes.indices.contains { bytes[$0...].starts(with: word) }
}
