import Enrollment
import FixedMemory
import Glibc
import HostAccess
import SystemFiles
import Verification

/// A move of one account's enrollment to the configured place.
protocol AccountMove {
  /// Whether there is an enrollment to move, or an interrupted move to complete.
  func isNeeded() throws -> Bool

  /// Returns false if there is nothing to move. If this throws, the enrollment is not in force in the new place.
  func run() throws -> Bool
}

/// The move of one account's enrollment between directories. Run it as root.
///
/// It copies the files under the lock of the source, so logins change no state in the meantime. At any moment, at most
/// one of the two places is in force, and its state contains all used codes:
///
/// - If one of the places is the host store, a rename in the host store switches between them, because an enrollment in
///   it overrides all others (``HostStore``).
/// - Otherwise the source gets a temporary name before the copy gets its name. If the command is killed in between,
///   neither is in force, and the next move continues from the temporary name.
struct EnrollmentMove: AccountMove {
  private let account: UserAccount
  private let store: EnrollmentStore
  private let source: MovePlace
  private let target: MovePlace
  /// The source, if an earlier move was killed.
  private let interrupted: MovePlace

  /// `origin` is the template of the source.
  init(of account: UserAccount, from origin: String, settings: HostSettings) throws {
    self.account = account
    store = try EnrollmentStore(account: account, settings: settings)
    source = try MovePlace(origin, of: account, owner: account)
    target = try MovePlace(
      settings.directoryTemplate, of: account, owner: store.keeper, isShared: settings.isShared)
    interrupted = try MovePlace(interruptedAt: source, of: account)
  }

  func isNeeded() throws -> Bool {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    if try source.opened(&identity) != nil { return true }
    return try !source.path.isInHostStore && interrupted.opened(&identity) != nil
  }

  /// If this throws, the enrollment stays in its old place.
  func run() throws -> Bool {
    let isMoved = try Interruptions.held {
      var identity = FileSystemIdentity()
      defer { identity.restore() }
      if let opened = try source.opened(&identity) {
        try move(opened, &identity)
        return true
      }
      guard !source.path.isInHostStore, let opened = try interrupted.opened(&identity) else { return false }
      try complete(opened, &identity)
      return true
    }
    if isMoved { store.restoreLabels() }
    return isMoved
  }

  private func move(_ opened: borrowing EnrollmentDirectory, _ identity: inout FileSystemIdentity) throws {
    let locked = try source.explaining { () throws(EnrollmentFailure) in try store.lock(opened) }
    defer { extendLifetime(locked) }
    identity.restore()
    let isWithinHostStore = source.path.isInHostStore || target.path.isInHostStore
    if !isWithinHostStore { try requireNoOverride() }
    let tag = try EnrollmentStore.randomTag()
    if let existing = try target.opened(&identity) {
      try add(locked, opened, to: existing)
    } else if isWithinHostStore {
      try copy(locked, tag, &identity)
    } else {
      try setAside(&identity)
      do {
        try copy(locked, tag, &identity)
      } catch {
        try? interrupted.rename(to: source, &identity)
        throw error
      }
      return try erase(&identity)
    }
    identity.restore()
    try source.explaining { () throws(EnrollmentFailure) in
      try opened.remove(source.path, of: source.owner.entry, tag: tag, identity: &identity)
    }
  }

  /// Completes a move that was killed when neither place was in force, or before it erased the source.
  private func complete(_ opened: borrowing EnrollmentDirectory, _ identity: inout FileSystemIdentity) throws {
    identity.restore()
    // If the user disabled the copy since, do not restore the source: codes used in the copy would be valid again.
    if try target.opened(&identity) == nil {
      identity.restore()
      if case .notRegistered = EnrollmentRegister.contains(account.entry.userID) {
        throw SetupError(
          .refused, "\(interrupted.text) is left from a move, but two-factor was disabled since",
          hint: "remove it: rm -r \(interrupted.text)")
      }
      try requireNoOverride()
      let locked = try interrupted.explaining { () throws(EnrollmentFailure) in try store.lock(opened) }
      try copy(locked, EnrollmentStore.randomTag(), &identity)
      extendLifetime(locked)
    }
    try erase(&identity)
  }

  private func copy(
    _ locked: borrowing LockedEnrollment<StateFile>, _ tag: UInt64, _ identity: inout FileSystemIdentity
  ) throws {
    identity.restore()
    // Best effort, as when a user enrolls: the next accepted login adds the entry, too.
    _ = try? EnrollmentRegister.add(account.entry.userID)
    try target.explaining { () throws(EnrollmentFailure) in
      try EnrollmentDirectory.create(
        target.path, of: target.owner.entry, copying: locked, tag: tag, identity: &identity)
    }
  }

  /// Marks the used codes of the source as used in the target, if an earlier move was killed after the copy.
  private func add(
    _ locked: borrowing LockedEnrollment<StateFile>, _ opened: borrowing EnrollmentDirectory,
    to existing: borrowing EnrollmentDirectory
  ) throws {
    guard try !target.explaining({ () throws(EnrollmentFailure) in try opened.isSame(as: existing) }) else {
      throw SetupError(.refused, "\(source.text) and \(target.text) are the same directory")
    }
    var other = try target.explaining { () throws(EnrollmentFailure) in try store.lock(existing) }
    guard other.credential.generation == locked.credential.generation else {
      throw SetupError(
        .refused, "\(source.text) and \(target.text) are different enrollments",
        hint: "keep one of them, and remove the other: rm -r \(source.text), or rm -r \(target.text)")
    }
    other.state.value.addUses(of: locked.state.value)
    try target.explaining { () throws(EnrollmentFailure) in try other.save() }
  }

  private func requireNoOverride() throws {
    do throws(EnrollmentFailure) {
      try HostStore.requirePresence(of: account.entry.userID, false)
    } catch {
      throw MovePlace.override(of: account)
    }
  }

  private func setAside(_ identity: inout FileSystemIdentity) throws {
    // The leftover of an earlier move is obsolete if the source exists.
    if try interrupted.opened(&identity) != nil { try erase(&identity) }
    try source.rename(to: interrupted, &identity)
  }

  private func erase(_ identity: inout FileSystemIdentity) throws {
    identity.restore()
    try interrupted.explaining { () throws(EnrollmentFailure) in
      try EnrollmentDirectory.erase(interrupted.path, of: interrupted.owner.entry, identity: &identity)
    }
  }
}
