import Enrollment
import FixedMemory
import Glibc
import Testing
import Verification

@testable import TwoFactorSetup

/// An enrolment of the user who runs the tests, in a folder of its own.
@Suite final class EnrollmentStoreTests {
  private let folder: String
  private let store: EnrollmentStore
  private let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

  init() throws {
    var template = Array("/tmp/twofactor-store-XXXXXX".utf8CString)
    folder = unsafe mkdtemp(&template).map { unsafe String(cString: $0) } ?? ""
    var settings = HostSettings()
    settings.directoryTemplate = "\(folder)/%u"
    store = try EnrollmentStore(account: Account.ofCaller(), settings: settings)
  }

  deinit {
    for name in ["credential", "state"] { unsafe unlink("\(store.directory)/\(name)") }
    unsafe rmdir(store.directory)
    unsafe rmdir(folder)
  }

  private func draft(key: String? = nil, codes: [String] = []) -> CredentialDraft {
    let parameters = DeviceParameters(name: "phone", kind: .totp(period: 30), algorithm: .sha1, digits: .six)
    let device = CredentialDraft.Device(parameters: parameters, enabledAt: 1_000_000, key: key ?? self.key)
    return CredentialDraft(enabledAt: 1_000_000, devices: [device], backupCodeHashes: codes)
  }

  private func switchOn(_ draft: CredentialDraft) throws {
    try store.switchOn(draft, state: LoginState(generation: .random()), over: store.standing())
  }

  @Test func anAccountWithoutADirectoryIsNotEnrolled() throws {
    guard case .absent = try store.standing() else { throw Missing(what: "the expected case") }
    let status = try store.status(now: 0)
    #expect(status.enabledAt == nil && status.devices.isEmpty)
  }

  @Test func anEnrolmentIsReadBackAsItWasMade() throws {
    let codes = try BackupCodes(count: 2)
    try switchOn(draft(codes: codes.hashes()))
    let status = try store.status(now: 2_000_000)
    #expect(status.enabledAt == 1_000_000)
    #expect(status.devices.map(\.parameters.name) == ["phone"])
    #expect(status.devices.allSatisfy { $0.lastUsedAt == nil && $0.enabledAt == 1_000_000 })
    #expect(status.backupCodesLeft == 2)
    #expect(status.json.text.contains(#""enabled": true"#))
  }

  @Test func aCodeIsUsedUpByAQuestionForIt() throws {
    try switchOn(draft())
    let code = try typed(currentCode(key: key))
    #expect(try store.useUp(code) == nil)
    let error = #expect(throws: SetupError.self) { try store.useUp(code) }
    #expect(error?.message == "this code was already used")
    #expect(try store.status(now: Clock.now).devices[0].lastUsedAt != nil)
  }

  @Test func aWrongCodeCounts() throws {
    try switchOn(draft(codes: BackupCodes(count: 1).hashes()))
    #expect(throws: SetupError.self) { try store.useUp(typed("ABCDE-FGH23")) }
    #expect(try store.status(now: Clock.now).failures == 1)
  }

  @Test func aBackupCodeIsGoodForOneQuestion() throws {
    let codes = try BackupCodes(count: 2)
    try switchOn(draft(codes: codes.hashes()))
    #expect(try store.useUp(typed(codes.codes[1].lowercased())) == 1)
    #expect(throws: SetupError.self) { try store.useUp(typed(codes.codes[1])) }
  }

  @Test func newBackupCodesReplaceAllOldOnesAndNothingElse() throws {
    let old = try BackupCodes(count: 3)
    try switchOn(draft(codes: old.hashes()))
    let code = try typed(currentCode(key: key))
    _ = try store.useUp(code)
    _ = try store.useUp(typed(old.codes[0]))

    let new = try BackupCodes(count: 5)
    try store.replaceBackupCodes(by: new.hashes())
    #expect(try store.status(now: Clock.now).backupCodesLeft == 5)
    #expect(throws: SetupError.self) { try store.useUp(typed(old.codes[1])) }
    #expect(throws: SetupError.self, "a used code stays used up") { try store.useUp(code) }
    #expect(try store.useUp(typed(new.codes[0])) == 4)
    #expect(try store.status(now: Clock.now).enabledAt == 1_000_000)
  }

  @Test func anotherEnrolmentTakesThePlaceOfTheOld() throws {
    try switchOn(draft())
    try switchOn(draft(key: "ABCDEFGHABCDEFGHABCDEFGHABCDEFGH"))
    #expect(throws: SetupError.self) { try store.useUp(typed(currentCode(key: key))) }
  }

  @Test func whatNoLoginCanUseIsReplacedToo() throws {
    try switchOn(draft())
    unsafe truncate("\(store.directory)/credential", 10)
    guard case .unusable = try store.standing() else { throw Missing(what: "the expected case") }
    #expect(throws: SetupError.self) { try store.status(now: 0) }
    try switchOn(draft())
    #expect(try store.useUp(typed(currentCode(key: key))) == nil)
  }

  @Test func switchedOffNothingIsLeft() throws {
    try switchOn(draft())
    try store.switchOff()
    guard case .absent = try store.standing() else { throw Missing(what: "the expected case") }
    #expect(unsafe rmdir(folder) == 0, "the folder is empty")
    #expect(unsafe mkdir(folder, 0o700) == 0)
  }

  @Test func filesAreTheUsersAloneWhateverTheMask() throws {
    let before = umask(0)
    defer { umask(before) }
    try switchOn(draft())
    for (path, mode) in [("", 0o40700), ("/credential", 0o100600), ("/state", 0o100600)] as [(String, mode_t)] {
      var status = stat()
      #expect(unsafe lstat(store.directory + path, &status) == 0)
      #expect(status.st_mode == mode)
    }
  }
}
