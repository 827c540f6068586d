import Testing

@testable import HostDoctor

@Suite struct PasswordModulesTests {
  private func modules(_ stack: String) throws -> PasswordModules {
    let host = try TemporaryHost([
      "/etc/debian_version": "", "/etc/pam.d/x": stack, "/etc/pam.d/y": "auth required pam_unix.so\n",
    ])
    return host.read { PasswordModules(of: "x", tree: $0) }
  }

  @Test(arguments: [
    ("auth required pam_unix.so\naccount required pam_permit.so\n", true),
    ("auth required \\\n  pam_unix.so\n", true), ("@include y\n", true),
    ("auth required pam_sss.so # instead of pam_unix.so\n", false),
    ("auth sufficient pam_unix.so\nauth required pam_sss.so\n", false), ("account required pam_unix.so\n", false),
    ("auth required pam_unix.so\n@include missing\n", false), ("", false),
  ])
  func pamUnixAloneIsRecognized(stack: String, isAlone: Bool) throws {
    #expect(try modules(stack).isUnixAlone == isAlone)
  }

  @Test func nullokIsAnArgument() throws {
    #expect(try modules("auth required pam_unix.so nullok\n").acceptsEmptyPasswords)
    #expect(try !modules("auth required pam_unix.so # nullok\n").acceptsEmptyPasswords)
  }
}
