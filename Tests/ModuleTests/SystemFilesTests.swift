import CSystem
import FixedMemory
import Testing

@testable import SystemFiles

@Suite struct SystemFilesTests {
  private func status(_ mode: Int32, owner: UInt32 = 7, links: UInt64 = 1) -> FileStatus {
    var status = stat()
    status.st_mode = mode_t(mode)
    status.st_uid = owner
    status.st_nlink = numericCast(links)
    return FileStatus(status)
  }

  private let user = UserID(rawValue: 7)

  @Test func aPrivateFileBelongsToItsOwnerAlone() {
    let rule = TrustRule.privateFile(of: user)
    #expect(rule.violation(of: status(S_IFREG | 0o600)) == nil)
    #expect(rule.violation(of: status(S_IFDIR | 0o600)) == .notRegularFile)
    #expect(rule.violation(of: status(S_IFREG | 0o600, owner: 0)) == .foreignOwner)
    #expect(rule.violation(of: status(S_IFREG | 0o600, links: 2)) == .hardLinked)
    #expect(rule.violation(of: status(S_IFREG | 0o640)) == .accessibleByOthers)
  }

  @Test func aTrustedFileIsWritableByItsOwnerAlone() {
    let rule = TrustRule.file(of: .root, or: user)
    #expect(rule.violation(of: status(S_IFREG | 0o644, owner: 0, links: 2)) == nil)
    #expect(rule.violation(of: status(S_IFREG | 0o644)) == nil)
    #expect(rule.violation(of: status(S_IFREG | 0o644, owner: 8)) == .foreignOwner)
    #expect(rule.violation(of: status(S_IFREG | 0o664)) == .writableByOthers)
    #expect(TrustRule.file(of: .root).violation(of: status(S_IFREG | 0o644)) == .foreignOwner)
  }

  @Test func onlyAStickyDirectoryOfRootMayBeWritableByOthers() {
    let rule = TrustRule.directory(of: user, allowsSticky: true)
    let sticky = S_IFDIR | S_ISVTX | 0o777
    #expect(rule.violation(of: status(S_IFDIR | 0o755)) == nil)
    #expect(rule.violation(of: status(S_IFREG | 0o755)) == .notDirectory)
    #expect(rule.violation(of: status(S_IFDIR | 0o775)) == .writableByOthers)
    #expect(rule.violation(of: status(sticky, owner: 0)) == nil)
    #expect(rule.violation(of: status(sticky)) == .writableByOthers)
    #expect(TrustRule.directory(of: user, allowsSticky: false).violation(of: status(sticky, owner: 0)) != nil)
  }

  @Test func aDirectoryOfRootMayBeWritableByAGroup() {
    let rule = TrustRule.rootDirectory
    #expect(rule.violation(of: status(S_IFDIR | S_ISVTX | 0o730, owner: 0)) == nil)
    #expect(rule.violation(of: status(S_IFDIR | 0o755)) == .foreignOwner)
    #expect(rule.violation(of: status(S_IFREG | 0o755, owner: 0)) == .notDirectory)
    #expect(rule.violation(of: status(S_IFDIR | S_ISVTX | 0o777, owner: 0)) == .writableByOthers)
  }

  @Test func filesAreCreatedReadAndRenamedInADirectory() throws {
    var template = Array("/tmp/system-files-XXXXXX".utf8CString)
    // SAFETY: the template is NUL-terminated and lives for the call.
    try #require(unsafe mkdtemp(&template) != nil)
    defer { unsafe rmdir(template) }
    let directory = try unsafe OpenFile.following(template, for: .directory)

    let file = try directory.create("one", for: .readWrite, permissions: 0o600)
    try file.write(Array("text".utf8).span, at: 0)
    var text = try buffer([])
    try file.read(into: &text)
    let read = text.bytes.string
    #expect(read == "t")
    let (size, mode) = (try file.status().size, try file.status().mode & 0o777)
    #expect(size == 4 && mode == 0o600)
    let error = #expect(throws: Errno.self) { _ = try directory.create("one", for: .read, permissions: 0o600) }
    #expect(error == .exists)

    try directory.rename("one", to: "two")
    var found: [String] = []
    var names = try directory.names()
    while let name = names.next() { found.append(name.string) }
    #expect(found.sorted() == [".", "..", "two"])
    directory.removeFile("two")
    let missing = #expect(throws: Errno.self) { _ = try directory.status(of: ByteText("two")) }
    #expect(missing == .noSuchFile)
  }
}
