import Enrollment
import Foundation
import HostAccess
import SystemFiles
import Testing

@testable import HostDoctor

@Suite struct TreeEnrollmentTests {
  private static let credential = """
    twofactor-credential 1
    generation 000102030405060708090a0b0c0d0e0f
    enabled 1700000000
    device type=totp algorithm=sha1 digits=6 period=30 enabled=1700000000 secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ name=phone
    end

    """

  private let alice = TreeAccount(
    name: "alice", userID: UserID(rawValue: getuid()), home: "/home/alice", mayLogIn: true, groups: [])

  private func host(in directory: String = "/home/alice/.twofactor") throws -> TemporaryHost {
    let host = try TemporaryHost(["/home/alice/x": ""])
    try host.change("/home/alice", mode: 0o755)
    for (name, text) in [("credential", Self.credential), ("state", "")] {
      try host.write("\(directory)/\(name)", text, mode: 0o600)
    }
    try host.change(directory, mode: 0o700)
    // The first attempt creates the state.
    host.read { tree in
      guard let file = tree.directory(directory) else { return }
      let enrollment = EnrollmentDirectory(directory: file, owner: alice.userID)
      _ = try? enrollment.locked(window: 1, failuresAfterLoss: 0)
    }
    return host
  }

  private func findings(on host: TemporaryHost, template: String = "~/.twofactor") -> [Finding] {
    var settings = HostSettings()
    settings.directoryTemplate = template
    return host.read { TreeEnrollment(tree: $0, settings: settings).findings(of: [alice]) }
  }

  private func problems(on host: TemporaryHost) -> [Finding] {
    findings(on: host).filter { $0.status == .warning || $0.status == .failed }
  }

  /// The directory is that of a login, which expands the template by the same code.
  @Test(
    arguments: [
      ("~/.twofactor", "/home/alice/.twofactor"), ("%h/codes", "/home/alice/codes"),
      ("/var/lib/twofactor/%u", "/var/lib/twofactor/alice"), ("/srv/100%%/%u", "/srv/100%/alice"),
      ("/srv/%U", "/srv/\(getuid())"),
    ])
  func theTemplateIsExpandedAsInALogin(template: String, directory: String) throws {
    let host = try host(in: directory)
    #expect(findings(on: host, template: template).first?.detail.hasPrefix("1 of 1 ") == true)
    #expect(findings(on: host, template: "~/other").first?.detail.hasPrefix("0 of 1 ") == true)
  }

  @Test func aCorrectEnrollmentHasNoFindings() throws {
    #expect(problems(on: try host()) == [])
  }

  @Test(arguments: [nil, "", "x", String(repeating: "\0", count: 8192)])
  func aLostStateIsFoundAndStays(text: String?) throws {
    let host = try host()
    let path = "/home/alice/.twofactor/state"
    try FileManager.default.removeItem(atPath: host.place(path))
    if let text { try host.write(path, text, mode: 0o600) }
    let problem = try #require(problems(on: host).first)
    #expect(problem.summary == "enrollment warning")
    #expect(problem.detail.hasPrefix("alice: \(path) is missing, empty or damaged: codes are refused until "))
    #expect(
      try text
        == (FileManager.default.fileExists(atPath: host.place(path))
          ? String(contentsOfFile: host.place(path), encoding: .utf8) : nil))
  }

  @Test(
    arguments: [
      ("", 0o777, TrustRule.Violation.writableByOthers, "chmod 700 "),
      ("/credential", 0o644, .accessibleByOthers, "chmod 600 "),
      ("/state", 0o640, .accessibleByOthers, "chmod 600 "),
    ])
  func aFileThatOthersCanAccessIsFound(
    name: String, mode: Int, violation: TrustRule.Violation, remedy: String
  ) throws {
    let host = try host()
    let path = "/home/alice/.twofactor\(name)"
    try host.change(path, mode: mode)
    let problem = try #require(problems(on: host).first)
    #expect(
      problem.summary == "enrollment failed"
        && problem.detail.hasSuffix("\(path) \(String(decoding: violation.text.bytes))"))
    #expect(problem.remedy == remedy + path)
  }

  @Test(
    arguments: [
      ("twofactor-credential 0\n", "has the older format 0; the module reads 1"), ("nonsense\n", "credential"),
      (String(repeating: "#", count: 100_000), "is too long"),
    ])
  func aCredentialThatNoLoginReadsIsFound(text: String, detail: String) throws {
    let host = try host()
    try host.write("/home/alice/.twofactor/credential", text, mode: 0o600)
    let problem = try #require(problems(on: host).first)
    #expect(problem.summary == "enrollment failed" && problem.detail.contains(detail))
    #expect(problem.remedy == "twofactor enable --force --user alice")
  }

  @Test func aSecondNameOfAFileIsFound() throws {
    let host = try host()
    let path = host.place("/home/alice/.twofactor/credential")
    try FileManager.default.linkItem(atPath: path, toPath: host.place("/home/alice/other"))
    let violation = String(decoding: TrustRule.Violation.hardLinked.text.bytes)
    #expect(problems(on: host).first?.detail.hasSuffix(violation) == true)
  }

  @Test func aRegisteredUserWithoutAnEnrollmentIsFound() throws {
    let host = try TemporaryHost(["/home/alice/x": ""])
    try host.change("/home/alice", mode: 0o755)
    try host.makeRegister(4999)
    #expect(problems(on: host) == [])
    try host.write("/var/lib/twofactor/enrolled/\(getuid())", "", mode: 0o600)
    let problem = try #require(problems(on: host).first)
    #expect(problem.summary == "enrollment failed")
    #expect(problem.detail.hasSuffix("/home/alice/.twofactor does not exist, but the user is registered as enrolled"))
    let end = "\nor, if the enrollment is lost: twofactor disable --user alice"
    #expect(problem.remedy == "mount or unlock the home of alice" + end)
    let outside = findings(on: host, template: "/var/lib/twofactor/%u").first { $0.status == .failed }
    #expect(outside?.remedy == "twofactor enable --user alice" + end)
  }

  private static let ofHostStore = "/var/lib/twofactor/users/%U"
  private let passwd = "alice:x:\(getuid()):100::/home/alice:/bin/sh\n"
  private let inHostStore = "/var/lib/twofactor/users/\(getuid())"

  @Test func anEnrollmentInTheHostStoreIsExaminedAsInALogin() throws {
    let host = try host(in: inHostStore)
    try host.write("/etc/passwd", passwd)
    try FileManager.default.removeItem(atPath: host.place("/home"))
    // Reported once by HostStoreCheck.
    try host.change("/var/lib/twofactor", mode: 0o777)
    try FileManager.default.moveItem(atPath: host.place("/var"), toPath: host.place("/disk"))
    try host.link("/var", to: "/disk")
    let summaries = findings(on: host, template: Self.ofHostStore).map(\.summary)
    #expect(summaries == ["enrollments ok", "selinux_policy skipped"])
    try host.change("/disk" + inHostStore.dropFirst("/var".count) + "/state", mode: 0o644)
    #expect(findings(on: host, template: Self.ofHostStore).contains { $0.remedy == "chmod 600 \(inHostStore)/state" })
  }

  @Test func anEnrollmentInTheOtherPlaceIsFound() throws {
    let atHome = try host()
    let ignored = findings(on: atHome, template: Self.ofHostStore).filter { $0.status == .failed }
    #expect(ignored.map(\.remedy) == ["twofactor move --user alice --from home"])
    #expect(ignored.first?.detail.contains("/home/alice/.twofactor is an enrollment that logins ignore") == true)
    let inStore = try host(in: inHostStore)
    try inStore.write("/etc/passwd", passwd)
    let overriding = problems(on: inStore)
    #expect(overriding.map(\.remedy) == ["twofactor move --user alice --from host"])
    #expect(
      overriding.first?.detail.hasPrefix("alice cannot log in: the host store has an enrollment of alice") == true)
    // If both places have one, the host store's is in force.
    try FileManager.default.copyItem(
      atPath: atHome.place("/home/alice/.twofactor"), toPath: inStore.place("/home/alice/.twofactor"))
    #expect(problems(on: inStore).map(\.summary) == ["enrollment failed"])
    #expect(findings(on: inStore, template: Self.ofHostStore).allSatisfy { $0.status != .failed })
  }

  @Test func aHomeThatOthersCanWriteIsFound() throws {
    let host = try host()
    try host.change("/home/alice", mode: 0o777)
    let problem = try #require(problems(on: host).first)
    #expect(problem.summary == "home warning" && problem.remedy == "chmod go-w /home/alice")
  }

  @Test func anUnmountedHomeIsNamed() throws {
    let host = try TemporaryHost([
      "/etc/fstab": "/dev/a / ext4 defaults\n# /dev/c /home/alice ext4\n/dev/b /home ext4 defaults\n"
    ])
    let obstacle = host.read { TreeEnrollment(tree: $0, settings: HostSettings()).homeObstacle(alice) }
    #expect(obstacle?.text == "/home/alice does not exist: /home is not mounted" && obstacle?.remedy == "mount /home")
    #expect(findings(on: host).contains { $0.summary == "home skipped" })
  }
}

@Suite struct ClockCheckTests {
  @Test func aClockBehindTheLastSynchronizationIsFound() throws {
    let host = try TemporaryHost(["/var/lib/chrony/drift": ""])
    let written = try #require(host.read { $0.status(of: "/var/lib/chrony/drift") }).modifiedAt
    #expect(host.read { ClockCheck.newerFile(in: $0, now: written - 60) } == nil)
    let finding = host.read { ClockCheck.newerFile(in: $0, now: written - 7200) }
    #expect(finding?.summary == "clock failed" && finding?.detail.contains("wrong by 120 minutes") == true)
    #expect(host.read(ClockCheck.finding).status == .skipped)
  }
}

@Suite struct SELinuxCheckTests {
  private func findings(_ mode: String, _ files: [String: String]) throws -> [String] {
    var files = files
    files["/etc/selinux/config"] = "# SELINUX=disabled\nSELINUX=\(mode)\nSELINUXTYPE=default\n"
    return try TemporaryHost(files).read { SELinuxCheck(tree: $0).findings(of: []).map(\.summary) }
  }

  @Test func thePolicyMustHaveATypeForEnrollments() throws {
    let folder = "/etc/selinux/default/contexts/files"
    let line = "/home/[^/]+/\\.twofactor(/.*)? unconfined_u:object_r:"
    #expect(try findings("disabled", [:]) == ["selinux_policy skipped"])
    #expect(try findings("enforcing", [:]) == ["selinux_policy failed"])
    #expect(try findings("permissive", [:]) == ["selinux_policy warning"])
    #expect(
      try findings("enforcing", ["\(folder)/file_contexts.homedirs": line + "twofactor_home_t:s0\n"])
        == ["selinux_policy ok", "selinux_label ok"])
    #expect(
      try findings("enforcing", ["\(folder)/file_contexts.local": line + "auth_home_t:s0\n"])
        == ["selinux_policy skipped"])
  }
}

@Suite struct ModuleFileCheckTests {
  private static let folder = "/usr/lib/x86_64-linux-gnu/security"

  /// The first 20 bytes of an ELF file (elf(5)).
  private func header(type: UInt8 = 3, machine: UInt8 = 62) -> String {
    String(
      decoding: [0x7f, 0x45, 0x4c, 0x46, 2, 1] + [UInt8](repeating: 0, count: 10) + [type, 0, machine, 0], as: UTF8.self
    )
  }

  private func summaries(_ files: [String: String], mode: Int = 0o644, paths: [String] = []) throws -> [String] {
    let host = try TemporaryHost(["\(Self.folder)/pam_unix.so": header()])
    for (path, text) in files { try host.write(path, text, mode: mode) }
    return host.read { ModuleFileCheck(tree: $0, isUsed: true, paths: paths).findings.map(\.summary) }
  }

  @Test func theFileIsChecked() throws {
    let path = "\(Self.folder)/pam_twofactor.so"
    #expect(try summaries([path: header()]) == ["module ok"])
    #expect(try summaries([:]) == ["module failed"])
    #expect(try summaries([path: "#!/bin/sh\n"]) == ["module failed"])
    #expect(try summaries([path: header(type: 2)]) == ["module failed"])
    #expect(try summaries([path: header(machine: 40)]) == ["module failed"])
    #expect(try summaries([path: header()], mode: 0o666) == ["module failed"])
    #expect(try summaries([path: header()], mode: 0o600) == ["module warning"])
    #expect(try summaries([path: header()], paths: [path, "/opt/pam_twofactor.so"]) == ["module ok", "module failed"])
  }
}
