import Enrollment
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles
import Testing
import Verification

@testable import TwoFactorSetup

/// The store of the user who runs the tests, in a temporary folder.
@Suite final class EnrollmentStoreTests {
  private let folder: String
  private let store: EnrollmentStore
  private let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

  init() throws {
    var template = Array("/tmp/twofactor-store-XXXXXX".utf8CString)
    folder = unsafe mkdtemp(&template).map { unsafe String(cString: $0) } ?? ""
    var settings = HostSettings()
    settings.directoryTemplate = "\(folder)/%u"
    store = try EnrollmentStore(account: UserAccount.ofCaller(), settings: settings)
  }

  deinit {
    for name in ["credential", "state"] { unsafe unlink("\(store.directory)/\(name)") }
    unsafe rmdir(store.directory)
    unsafe rmdir(folder)
  }

  private func draft(key: String? = nil, codes: [String] = []) throws -> CredentialDraft {
    let device = try device(named: "phone", key: key ?? self.key, .totp(period: 30), enabledAt: 1_000_000)
    return CredentialDraft(enabledAt: 1_000_000, devices: [device], backupCodeHashes: codes)
  }

  private func switchOn(_ draft: CredentialDraft) throws {
    try store.switchOn(draft, states: [], over: store.standing())
  }

  @Test func anAccountWithoutADirectoryIsNotEnrolled() throws {
    guard case .absent = try store.standing() else { throw Missing(what: "the expected case") }
    let status = try store.status(now: 0)
    #expect(status.enabledAt == nil && status.devices.isEmpty)
  }

  @Test func anEnrollmentIsReadBackUnchanged() throws {
    let codes = try BackupCodes(count: 2)
    try switchOn(draft(codes: codes.hashes()))
    let status = try store.status(now: 2_000_000)
    #expect(status.enabledAt == 1_000_000)
    #expect(status.devices.map(\.name) == ["phone"])
    #expect(status.devices.allSatisfy { $0.lastUsedAt == nil && $0.enabledAt == 1_000_000 })
    #expect(status.backupCodesLeft == 2)
    #expect(status.json(services: { nil }).text.contains(#""enabled": true"#))
  }

  @Test func aCodeIsAcceptedOnce() throws {
    try switchOn(draft())
    let code = try typed(currentCode(key: key))
    #expect(try store.useUp(code) == nil)
    let error = #expect(throws: SetupError.self) { try store.useUp(code) }
    #expect(error?.message == "this code was already used")
    #expect(try store.status(now: SystemClock.now).devices[0].lastUsedAt != nil)
  }

  @Test func aWrongCodeCounts() throws {
    try switchOn(draft(codes: BackupCodes(count: 1).hashes()))
    // No device has codes of eight digits.
    #expect(throws: SetupError.self) { try store.useUp(typed("00000000")) }
    #expect(try store.status(now: SystemClock.now).failures == 1)
  }

  @Test func aWrongBackupCodeDoesNotCount() throws {
    try switchOn(draft(codes: BackupCodes(count: 1).hashes()))
    #expect(throws: SetupError.self) { try store.useUp(typed("ABCDE-FGH23")) }
    #expect(try store.status(now: SystemClock.now).failures == 0)
  }

  @Test func aBackupCodeIsAcceptedOnce() throws {
    let codes = try BackupCodes(count: 2)
    try switchOn(draft(codes: codes.hashes()))
    #expect(try store.useUp(typed(codes.codes[1].lowercased())) == 1)
    #expect(throws: SetupError.self) { try store.useUp(typed(codes.codes[1])) }
  }

  @Test func newBackupCodesReplaceOnlyTheOldOnes() throws {
    let old = try BackupCodes(count: 3)
    try switchOn(draft(codes: old.hashes()))
    let code = try typed(currentCode(key: key))
    _ = try store.useUp(code)
    _ = try store.useUp(typed(old.codes[0]))

    let new = try BackupCodes(count: 5)
    try store.replaceBackupCodes(by: new.hashes())
    #expect(try store.status(now: SystemClock.now).backupCodesLeft == 5)
    #expect(throws: SetupError.self) { try store.useUp(typed(old.codes[1])) }
    #expect(throws: SetupError.self, "a used code stays used up") { try store.useUp(code) }
    #expect(try store.useUp(typed(new.codes[0])) == 4)
    #expect(try store.status(now: SystemClock.now).enabledAt == 1_000_000)
  }

  private func device(
    named name: String, key: String, _ kind: Device.Kind = .totp(period: 60), enabledAt: Int64 = 2_000_000
  ) throws -> DeviceDraft {
    var device = try DeviceDraft(name: name, key: SharedKey(base32: key.utf8.span), kind: kind)
    device.enabledAt = enabledAt
    return device
  }

  private func names() throws -> [String] { try store.status(now: 0).devices.map(\.name) }

  @Test func usedCodesStayUsedUpWhenDevicesAreAddedAndRemoved() throws {
    let codes = try BackupCodes(count: 2)
    try switchOn(draft(codes: codes.hashes()))
    let code = try typed(currentCode(key: key))
    _ = try store.useUp(code)
    _ = try store.useUp(typed(codes.codes[0]))
    let fresh = LoginState.DeviceState()

    try store.addDevice(device(named: "tablet", key: key + "AAAA"), state: fresh)
    try store.addDevice(device(named: "watch", key: key + "ABAA"), state: fresh)
    #expect(try names() == ["phone", "tablet", "watch"])
    #expect(throws: SetupError.self) { try store.useUp(code) }
    #expect(throws: SetupError.self) { try store.useUp(typed(codes.codes[0])) }

    try store.removeDevice(named: "tablet")
    #expect(try names() == ["phone", "watch"])
    try store.removeDevice(named: "watch")
    #expect(throws: SetupError.self) { try store.useUp(code) }
    #expect(try store.useUp(typed(codes.codes[1])) == 0)
  }

  @Test func theUsedCodesOfADeviceMoveWithIt() throws {
    try switchOn(draft(key: "ABCDEFGHABCDEFGHABCDEFGHABCDEFGH"))
    let fresh = LoginState.DeviceState()
    try store.addDevice(device(named: "second", key: key, .totp(period: 30)), state: fresh)
    let code = try typed(currentCode(key: key))
    _ = try store.useUp(code)
    try store.removeDevice(named: "phone")
    #expect(try names() == ["second"])
    let error = #expect(throws: SetupError.self) { try store.useUp(code) }
    #expect(error?.message == "this code was already used")
  }

  @Test func theLastDeviceCannotBeRemoved() throws {
    try switchOn(draft())
    let error = #expect(throws: SetupError.self) { try store.removeDevice(named: "phone") }
    #expect(error?.message == "phone is the only device")
    #expect(throws: SetupError.self) { try store.removeDevice(named: "no such device") }
    #expect(try names() == ["phone"])
  }

  @Test func aSecondDeviceOfTheSameNameIsRejected() throws {
    try switchOn(draft())
    let fresh = LoginState.DeviceState()
    #expect(throws: SetupError.self) { try store.addDevice(device(named: "phone", key: key), state: fresh) }
    #expect(try names() == ["phone"])
    #expect(try store.useUp(typed(currentCode(key: key))) == nil)
  }

  @Test func examiningACodeNeitherUsesItUpNorCountsIt() throws {
    let codes = try BackupCodes(count: 1)
    try switchOn(draft(codes: codes.hashes()))
    for _ in 0..<2 {
      let device = try store.examine(typed(currentCode(key: key)))
      #expect(device.method == "totp" && device.offset == 0 && device.refusal == nil)
      let backup = try store.examine(typed(codes.codes[0]))
      #expect(backup.method == "backup-code" && backup.refusal == nil)
    }
    for (text, reason) in [("", "no-reply"), ("1234", "malformed-reply"), ("00000-00000", "wrong-code")] {
      #expect(try store.examine(typed(text)).reason == reason)
    }
    #expect(try store.status(now: 0).failures == 0)
  }

  @Test func failuresCanBeReset() throws {
    try switchOn(draft())
    for _ in 0..<6 { _ = try? store.useUp(typed("00000000")) }
    #expect(try store.examine(typed("00000000")).reason == "throttled")
    try store.forgetFailures()
    #expect(try store.status(now: SystemClock.now).failures == 0)
    #expect(try store.useUp(typed(currentCode(key: key))) == nil)
  }

  @Test func anEnrollmentReplacesTheOldOne() throws {
    try switchOn(draft())
    try switchOn(draft(key: "ABCDEFGHABCDEFGHABCDEFGHABCDEFGH"))
    #expect(throws: SetupError.self) { try store.useUp(typed(currentCode(key: key))) }
  }

  @Test func anUnusableEnrollmentIsReplaced() throws {
    try switchOn(draft())
    unsafe truncate("\(store.directory)/credential", 10)
    guard case .unusable = try store.standing() else { throw Missing(what: "the expected case") }
    #expect(throws: SetupError.self) { try store.status(now: 0) }
    try switchOn(draft())
    #expect(try store.useUp(typed(currentCode(key: key))) == nil)
  }

  @Test func switchingOffLeavesNoFiles() throws {
    try switchOn(draft())
    try store.switchOff()
    guard case .absent = try store.standing() else { throw Missing(what: "the expected case") }
    #expect(unsafe rmdir(folder) == 0, "the directory is empty")
    #expect(unsafe mkdir(folder, 0o700) == 0)
  }

  @Test func theUmaskDoesNotWidenTheModes() throws {
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
