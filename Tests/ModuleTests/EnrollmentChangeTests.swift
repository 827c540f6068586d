import FixedMemory
import Foundation
import OneTimePassword
import SystemFiles
import Testing
import Verification

@testable import Enrollment

/// The credential and state after a change, with the used codes of the old ones.
@Suite struct EnrollmentChangeTests {
  private let now: Int64 = 1_700_000_000
  private let next = Generation(low: 1, high: 2)
  private var step: UInt64 { UInt64(now / 30) }

  private func change(
    adding text: String, devices: Bool = false, backupCodes: Bool = false, removing: String = "",
    states: [LoginState.DeviceState] = []
  ) throws -> EnrollmentChange {
    guard
      var change = EnrollmentChange(
        adding: Array(text.utf8).span, keepsDevices: devices, keepsBackupCodes: backupCodes,
        removedDevice: Array(removing.utf8).span)
    else { throw Missing(what: "memory") }
    for state in states where !change.add(state) { throw Missing(what: "room") }
    return change
  }

  /// An enrollment on disk with this credential and state, after the change.
  private func renew(
    _ old: String, _ change: borrowing EnrollmentChange, state: (inout LoginState) -> Void = { _ in }
  ) throws -> (credential: String, state: LoginState) {
    var first = LoginState(generation: sampleGeneration)
    state(&first)
    return try renew(old, first, change)
  }

  private func renew(
    _ old: String, _ state: LoginState, _ change: borrowing EnrollmentChange
  ) throws -> (credential: String, state: LoginState) {
    let home = try TemporaryHome()
    let account = try home.account()
    try create(buffer(old), state, account)
    let locked = try lock(account)
    let renewed = try RenewedEnrollment(change, generation: next, over: locked, now: now)
    return (renewed.credential.bytes.string, renewed.state)
  }

  private func path(_ account: borrowing Account) throws -> EnrollmentPath {
    try EnrollmentPath(template: Array("~/.twofactor".utf8).span, account: account)
  }

  private func create(_ text: borrowing SecretBuffer, _ state: LoginState, _ account: borrowing Account) throws {
    var identity = FileSystemIdentity()
    try EnrollmentDirectory.create(
      path(account), of: account, credential: text.bytes, state: state, tag: 1, identity: &identity)
  }

  private func lock(_ account: borrowing Account) throws -> LockedEnrollment<StateFile> {
    var identity = FileSystemIdentity()
    return try lock(EnrollmentDirectory(path(account), of: account, identity: &identity))
  }

  private func lock(_ directory: borrowing EnrollmentDirectory) throws -> LockedEnrollment<StateFile> {
    try directory.locked(window: 1, failuresAfterLoss: 4)
  }

  private final class TemporaryHome {
    let folder = FileManager.default.temporaryDirectory.appending(path: "home-\(UUID())")

    init() throws {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func account() throws -> Account {
      // SAFETY: strings are passed as NUL-terminated texts.
      let account = unsafe Account(
        name: "alice", userID: UserID(rawValue: geteuid()), groupID: GroupID(rawValue: getegid()), home: folder.path)
      guard let account else { throw Missing(what: "memory") }
      return account
    }
  }

  private func names(_ credential: String) -> [String] {
    credential.split(separator: "\n").compactMap { line in
      line.split(separator: " name=").dropFirst().first.map(String.init)
    }
  }

  private let part = credentialText(devices: [])
  private let generationOfNext = "generation 01000000000000000200000000000000"

  @Test func aFirstEnrollmentHasTheNewGenerationAndTheStatesGiven() throws {
    let states = [LoginState.DeviceState(nextFactor: 7, lastUsedAt: 8)]
    let text = credentialText(
      devices: [totpDevice(), hotpDevice(secret: secret(1))], backupCodes: ["backup-code " + hash("a")])
    let renewed = try RenewedEnrollment(change(adding: text, states: states), generation: next)
    let (credential, state) = (renewed.credential.bytes.string, renewed.state)
    #expect(credential == text.replacing("generation 000102030405060708090a0b0c0d0e0f", with: generationOfNext))
    #expect(state.generation == next && state[device: 0].nextFactor == 7 && state[device: 0].lastUsedAt == 8)
    #expect(state[device: 1].nextFactor == 0 && state.failures == 0 && state.spentBackupCodes == 0)
  }

  @Test func keptDevicesKeepTheirClockOffsets() throws {
    let old = credentialText(devices: [totpDevice(offset: -7), hotpDevice(secret: secret(1))])
    let added = credentialText(devices: [totpDevice(offset: 3, name: "new", secret: secret(2))])
    let (credential, _) = try renew(old, change(adding: added, devices: true, backupCodes: true))
    #expect(credential.contains(" offset=-7 ") && credential.contains(" offset=3 "))
  }

  /// Also those of a clock that is ahead.
  @Test(arguments: [(0, 0), (15, 0), (15, 15), (-15, 0)] as [(Int64, Int64)])
  func usedCodesOfTheSameKeyStayUsed(oldOffset: Int64, newOffset: Int64) throws {
    let used = UInt64(Int64(step) + oldOffset + 2)
    let (_, state) = try renew(
      credentialText(devices: [totpDevice(offset: oldOffset)]),
      change(adding: credentialText(devices: [totpDevice(offset: newOffset, name: "new")]))
    ) { $0[device: 0].nextFactor = used }
    #expect(state[device: 0].nextFactor == used)
  }

  @Test(arguments: [-12, 0, 12] as [Int64]) func anotherClockOffsetChangesNothingElse(offset: Int64) throws {
    let text = credentialText(
      devices: [totpDevice(offset: 4), hotpDevice(secret: secret(1)), totpDevice(name: "tablet", secret: secret(2))],
      backupCodes: ["backup-code " + hash("a"), "scratch-code " + hash("b")])
    let home = try TemporaryHome()
    let account = try home.account()
    var state = LoginState(generation: sampleGeneration)
    state[device: 2].nextFactor = 7
    state.spend(backupCodeAt: 1)
    try create(buffer(text), state, account)
    let locked = try lock(account)
    state.failures = 3
    let renewed = try RenewedEnrollment(
      clockOffset: offset, ofDeviceAt: 0, generation: next, over: locked, state: state)
    let (credential, after) = (renewed.credential.bytes.string, renewed.state)
    #expect(
      credential
        == text.replacing(" offset=4", with: offset == 0 ? "" : " offset=\(offset)")
        .replacing("generation 000102030405060708090a0b0c0d0e0f", with: generationOfNext))
    #expect(after.generation == next && after[device: 2].nextFactor == 7 && after.failures == 3)
    #expect(after.isSpent(backupCodeAt: 1) && !after.isSpent(backupCodeAt: 0))
  }

  @Test func keptDevicesKeepTheirStatesAndFailures() throws {
    let old = credentialText(
      devices: [totpDevice(), hotpDevice(secret: secret(1))], backupCodes: ["backup-code " + hash("a")])
    let added = credentialText(devices: [totpDevice(name: "new", secret: secret(2))], backupCodes: [])
    let (credential, state) = try renew(old, change(adding: added, devices: true, backupCodes: true)) { state in
      state[device: 0] = LoginState.DeviceState(nextFactor: 70, lastUsedAt: 71)
      state[device: 1] = LoginState.DeviceState(nextFactor: 80, lastUsedAt: 81)
      (state.failures, state.throttledUntil, state.earlyGuesses, state.lastUsedAt) = (6, 99, 3, 71)
      state.spend(backupCodeAt: 0)
    }
    #expect(names(credential) == ["phone", "token", "new"] && credential.contains(generationOfNext))
    #expect(credential.contains("backup-code " + hash("a")))
    #expect(state.generation == next && (0..<3).map { state[device: $0].nextFactor } == [70, 80, 0])
    #expect((state.failures, state.throttledUntil, state.earlyGuesses, state.lastUsedAt) == (6, 99, 3, 71))
    #expect(state.spentBackupCodes == 1)
  }

  @Test func newBackupCodesForgetTheSpentOnesButNotTheFailures() throws {
    let old = credentialText(backupCodes: ["a", "b", "c"].map { "backup-code " + hash($0) })
    let added = credentialText(devices: [], backupCodes: ["d", "c", "b", "e"].map { "backup-code " + hash($0) })
    let (credential, state) = try renew(old, change(adding: added, devices: true)) { state in
      state[device: 0] = LoginState.DeviceState(nextFactor: 70, lastUsedAt: 71)
      (state.failures, state.backupCodeUsedAt) = (6, 50)
      for index in [0, 1] { state.spend(backupCodeAt: index) }
    }
    // The hash of the spent code b is the third of the new ones.
    #expect(state.spentBackupCodes == 1 << 2 && state.failures == 6 && state.backupCodeUsedAt == 50)
    #expect(state[device: 0].nextFactor == 70 && names(credential) == ["phone"])
    #expect(!credential.contains(hash("a")) && credential.contains(hash("e")))
  }

  @Test func afterALossOfTheStateNewBackupCodesAreUnspent() throws {
    let old = credentialText(backupCodes: ["backup-code " + hash("a")])
    let added = credentialText(devices: [], backupCodes: ["backup-code " + hash("a")])
    let (_, state) = try renew(old, change(adding: added, devices: true)) { $0.spend(backupCodes: .max) }
    #expect(state.spentBackupCodes == 0)
  }

  @Test func aRemovedDeviceIsGoneWithItsStateAndGraceEnds() throws {
    let old = credentialText(devices: [
      totpDevice(), hotpDevice(secret: secret(1)), totpDevice(name: "third", secret: secret(2)),
    ])
    let address = [UInt8](repeating: 1, count: 16)
    let key = GraceKey(service: Array("sshd".utf8).span, address: address.span)
    let used: (inout LoginState) -> Void = { state in
      for index in 0..<3 { state[device: index] = LoginState.DeviceState(nextFactor: UInt64(index + 1), lastUsedAt: 0) }
      state.beginGrace(key, now: self.now)
    }
    var (credential, state) = try renew(
      old, change(adding: part, devices: true, backupCodes: true, removing: "phone"), state: used)
    #expect(names(credential) == ["token", "third"] && (0..<3).map { state[device: $0].nextFactor } == [2, 3, 0])
    var hasGrace = state.usesGrace(key, now: now, period: 1000)
    #expect(!hasGrace)
    // The name of no device.
    (credential, state) = try renew(old, change(adding: part, devices: true, backupCodes: true), state: used)
    hasGrace = state.usesGrace(key, now: now, period: 1000)
    #expect(hasGrace && names(credential).count == 3)
  }

  @Test func theLastDeviceIsNotRemoved() throws {
    let change = try change(adding: part, devices: true, backupCodes: true, removing: "phone")
    #expect(throws: (any Error).self) { try renew(credentialText(), change) }
  }

  @Test(arguments: ["phone", "phone "]) func aNameOrSecretThatExistsIsRejected(name: String) throws {
    let sameName = try change(
      adding: credentialText(devices: [totpDevice(name: name, secret: secret(1))]), devices: true)
    #expect(throws: (any Error).self) { try renew(credentialText(), sameName) }
    let sameSecret = try change(adding: credentialText(devices: [totpDevice(name: "other")]), devices: true)
    #expect(throws: (any Error).self) { try renew(credentialText(), sameSecret) }
  }

  // MARK: A new enrollment over an old one

  @Test func aReplacementForgetsFailuresButNoUsedCodeOfTheSameKey() throws {
    let old = credentialText(devices: [totpDevice(), hotpDevice(secret: secret(1))])
    let new = credentialText(devices: [
      hotpDevice(name: "b", secret: secret(1)), totpDevice(name: "a"), totpDevice(name: "c", secret: secret(3)),
    ])
    let (credential, state) = try renew(old, change(adding: new)) { state in
      state[device: 0].nextFactor = self.step + 1
      state[device: 1].nextFactor = 42
      state.failures = 6
      state.lastUsedAt = self.now
    }
    #expect(names(credential) == ["b", "a", "c"] && state.failures == 0 && state.lastUsedAt == 0)
    #expect((0..<3).map { state[device: $0].nextFactor } == [42, step + 1, 0])
  }

  @Test func aStateThatIsGivenOnlyRaisesTheUsedFactor() throws {
    for (given, expected) in [(UInt64(3), step + 1), (step + 9, step + 9)] {
      let states = [LoginState.DeviceState(nextFactor: given, lastUsedAt: 5)]
      let (_, state) = try renew(credentialText(), change(adding: credentialText(), states: states)) { state in
        state[device: 0].nextFactor = self.step + 1
      }
      #expect(state[device: 0].nextFactor == expected && state[device: 0].lastUsedAt == 5)
    }
  }

  @Test func stepsOfADroppedClockOffsetStayUsed() throws {
    // A device that was 21 steps ahead, replaced without its offset: the second change must keep its used steps, too.
    let (_, state) = try renew(credentialText(), change(adding: credentialText())) { state in
      state[device: 0].nextFactor = self.step + 22
    }
    #expect(state[device: 0].nextFactor == step + 22)
  }

  @Test func stepsOfAWrongClockAreNotKept() throws {
    let (_, state) = try renew(credentialText(), change(adding: credentialText())) { state in
      state[device: 0].nextFactor = self.step + 1_000_000
    }
    #expect(state[device: 0].nextFactor == step + 32)
  }

  @Test func anotherPeriodOrKindOfTheSameKeyIsUnused() throws {
    for device in [totpDevice(period: 60), hotpDevice()] {
      let (_, state) = try renew(credentialText(), change(adding: credentialText(devices: [device]))) { state in
        state[device: 0].nextFactor = self.step + 1
      }
      #expect(state[device: 0].nextFactor == 0)
    }
  }

  @Test func keptBackupCodesStaySpentInAReplacement() throws {
    let old = credentialText(backupCodes: ["a", "b"].map { "backup-code " + hash($0) })
    let (credential, state) = try renew(old, change(adding: credentialText(), backupCodes: true)) {
      $0.spend(backupCodeAt: 1)
    }
    #expect(state.spentBackupCodes == 2 && credential.contains(hash("a")))
  }

  @Test(arguments: ["", "x", "twofactor-credential 1\n"]) func anInvalidAdditionIsRejected(text: String) throws {
    for devices in [false, true] {
      let change = try change(adding: text, devices: devices)
      #expect(throws: (any Error).self) { try renew(credentialText(), change) }
      if !devices { #expect(throws: (any Error).self) { _ = try RenewedEnrollment(change, generation: next) } }
    }
  }
}
