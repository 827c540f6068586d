import Testing

@testable import HostDoctor

@Suite struct ProFTPDCheckTests {
  private static let path = "/etc/proftpd/proftpd.conf"
  private static let order = "AuthOrder mod_auth_pam.c* mod_auth_unix.c"
  private static let stack = "auth required pam_twofactor.so forward_pass\nauth required pam_unix.so use_first_pass\n"

  /// The finding about a configuration; also checks that its remedy fixes it.
  private func finding(_ files: [String: String], stack: String = stack) throws -> Finding? {
    let host = try TemporaryHost(["/etc/pam.d/proftpd": stack, "/etc/debian_version": "12"])
    for (path, text) in files { try host.write(path, text) }
    return host.read { tree in
      let finding = ProFTPDCheck(PAMConfiguration(tree: tree)).finding
      if let remedy = finding?.remedy {
        let changed = tree.applying([Edit](remedy: remedy))
        #expect(changed != nil && changed.flatMap { ProFTPDCheck(PAMConfiguration(tree: $0)).finding } == nil)
      }
      return finding
    }
  }

  private func remedy(_ text: String) throws -> String? { try finding([Self.path: text])?.remedy }

  @Test(
    arguments: [
      order, "authorder  mod_auth_pam.c*\tmod_auth_unix.c # final", "<Global>\n\(order)\n</Global>",
      "<IfModule mod_auth_pam.c>\n\(order)\n</IfModule>", "<IfModule !mod_no.c>\n\(order)\n</IfModule>",
      "AuthOrder mod_auth_unix.c mod_auth_pam.c*", "AuthOrder mod_sql.c", "\(order)\n\(order)",
      "LoadModule mod_x.c\n<IfModule mod_x.c>\n\(order)\n</IfModule>",
    ])
  func aFinalRefusalByPAMIsNoProblem(text: String) throws {
    #expect(try finding([Self.path: text + "\n"]) == nil)
  }

  @Test(
    arguments: [
      ("", "in \(path): \(order)"),
      ("Port 21\n# \(order)\n", "in \(path), line 2: \(order)"),
      ("AuthOrder mod_auth_pam.c mod_auth_unix.c\n", "in \(path), line 1: \(order)"),
      (
        "AuthOrder mod_sql.c mod_auth_unix.c\n",
        "in \(path), line 1: AuthOrder mod_auth_pam.c* mod_sql.c mod_auth_unix.c"
      ),
      ("<Global>\n  AuthOrder mod_auth_unix.c\n</Global>\n", "in \(path), line 2: \(order)"),
      ("AuthPAM off\n\(order)\n", "in \(path), line 1: AuthPAM on\nin \(path), line 2: \(order)"),
      ("<IfModule mod_no.c>\n\(order)\n</IfModule>\n", "in \(path): \(order)"),
      ("<IfDefine X>\n\(order)\n</IfDefine>\n", "in \(path): \(order)"),
      ("<Anonymous ~ftp>\n\(order)\n</Anonymous>\n", "in \(path): \(order)"),
      ("\(order)\n<VirtualHost 192.0.2.1>\n</VirtualHost>\n", "in \(path), behind line 2: \(order)"),
      (
        "<VirtualHost 192.0.2.1>\n</VirtualHost>\n",
        "in \(path): \(order)\nin \(path), behind line 1: \(order)"
      ),
    ])
  func anotherOrderIsFound(text: String, remedy: String) throws {
    let found = try finding([Self.path: text])
    #expect(found?.summary == "proftpd_auth_order failed")
    #expect(found?.remedy == remedy)
  }

  @Test func includedFilesAreRead() throws {
    let files = [
      Self.path: "Include /etc/proftpd/modules.conf\nInclude /etc/proftpd/conf.d/\n",
      "/etc/proftpd/modules.conf": "LoadModule mod_sftp.c\n",
    ]
    #expect(try finding(files.merging(["/etc/proftpd/conf.d/a.conf": Self.order]) { $1 }) == nil)
    let found = try finding(files.merging(["/etc/proftpd/conf.d/a.conf": "AuthOrder mod_auth_unix.c"]) { $1 })
    #expect(found?.remedy == "in /etc/proftpd/conf.d/a.conf, line 1: \(Self.order)")
    #expect(try finding([Self.path: "Include /etc/proftpd/[a-c]*.conf\n", "/etc/proftpd/b.conf": Self.order]) == nil)
  }

  @Test func theServiceDecidesWhetherTheOrderMatters() throws {
    #expect(try finding([Self.path: ""], stack: "auth required pam_unix.so\n") == nil)
    #expect(try finding([:]) == nil)
    #expect(try finding([Self.path: "AuthPAMConfig ftpd\n"]) == nil)
    let other = try finding([Self.path: "AuthPAMConfig ftpd\n", "/etc/pam.d/ftpd": Self.stack], stack: "")
    #expect(other?.detail.contains("after the service ftpd refused a login") == true)
    #expect(try finding(["/etc/proftpd.conf": "\n"])?.remedy == "in /etc/proftpd.conf: \(Self.order)")
  }

  @Test func aLoopOfIncludesEnds() throws {
    let loop = "Include \(Self.path)\nInclude \(Self.path)\nInclude /etc/proftpd/\n</Global>\n<Global>\n"
    #expect(try finding([Self.path: loop])?.status == .failed)
    let long = loop + String(repeating: "# \(String(repeating: "x", count: 98))\n", count: 5_000)
    #expect(try finding([Self.path: long])?.status == .failed)
  }
}
