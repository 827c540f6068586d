import Foundation
import HostAccess
import Testing

@testable import HostDoctor

@Suite struct HostTreeTests {
  @Test func symlinksStayInsideTheTree() throws {
    let host = try TemporaryHost(["/etc/stack": "inside\n"])
    try host.link("/etc/absolute", to: "/etc/stack")
    try host.link("/etc/up", to: "../../../../../../../../etc/stack")
    try host.link("/etc/outside", to: "../../../../../../../../etc/passwd")
    host.read { tree in
      #expect(tree.text(of: "/etc/absolute") == "inside\n")
      #expect(tree.text(of: "/etc/up") == "inside\n")
      #expect(tree.place(of: "/etc/up") == tree.root + "/etc/stack")
      #expect(tree.text(of: "/etc/outside") == nil)
    }
  }

  @Test func aLoopOfSymlinksIsNoFile() throws {
    let host = try TemporaryHost(["/etc/x": ""])
    try host.link("/etc/loop", to: "/etc/loop")
    host.read { tree in
      #expect(!tree.exists("/etc/loop") && tree.place(of: "/etc/loop") == nil)
      #expect(tree.ownStatus(of: "/etc/loop")?.isRegularFile == false)
    }
  }

  @Test func onlyRegularFilesAreRead() throws {
    let host = try TemporaryHost(["/etc/x": ""])
    // SAFETY: the string is NUL-terminated for the call.
    let result = unsafe mkfifo(host.place("/etc/fifo"), 0o600)
    #expect(result == 0)
    host.read { tree in
      #expect(tree.bytes(of: "/etc/fifo", upTo: 10) == nil && tree.bytes(of: "/etc", upTo: 10) == nil)
    }
  }

  @Test func aFileIsReadToALimit() throws {
    let host = try TemporaryHost(["/etc/x": "123456789", "/etc/long": String(repeating: "x", count: 1 << 20)])
    host.read { tree in
      #expect(tree.bytes(of: "/etc/x", upTo: 4) == Array("1234".utf8))
      #expect(tree.text(of: "/etc/long") == nil)
    }
  }

  @Test func namesAreSorted() throws {
    try TemporaryHost(["/etc/b": "", "/etc/a": "", "/etc/c/d": ""]).read { tree in
      #expect(tree.names(in: "/etc") == ["a", "b", "c"])
      #expect(tree.names(in: "/none") == [])
    }
  }

  @Test func aRootThatIsNotADirectoryIsAnError() throws {
    let host = try TemporaryHost(["/file": ""])
    for path in [host.place("/file"), host.place("/none")] {
      let error = #expect(throws: SetupError.self) { try HostTree(root: path) }
      #expect(error?.status == .noSuchFile)
    }
    #expect(try HostTree(root: "/").isThisHost)
  }

  @Test func accountsHaveTheGroupsThatListThem() throws {
    let host = try TemporaryHost([
      "/etc/passwd": "alice:x:7:100::/home/alice:/bin/sh\nbad:line\ndaemon:x:1:1::/:/usr/sbin/nologin\n",
      "/etc/group": "users:x:100:\nstaff:x:50:bob,alice\n",
    ])
    let accounts = host.read(TreeAccount.all)
    #expect(accounts.map(\.name) == ["alice", "daemon"] && accounts.map(\.mayLogIn) == [true, false])
    #expect(accounts.first?.groups == ["users", "staff"])
  }
}
