import Enrollment
import FixedMemory
import Glibc
import HostAccess
import SystemFiles
import Verification

/// The move of one account's enrollment from files to the store on PostgreSQL, or back. Run it as root.
///
/// While the row is in force, or may be, the files have a temporary name, so that the row and the files are never in
/// force at once. If the command is killed when neither is in force, the register refuses the user, and the next run
/// completes the move:
///
/// - To the database, the files are locked, and get the temporary name before the row is created.
/// - From the database, the files are written with the temporary name. Then the row is removed, if no login changed it
///   meanwhile, and the files get their name.
struct DatabaseMove: AccountMove {
  private let account: UserAccount
  private let store: EnrollmentStore
  private let isToDatabase: Bool
  private let row: DatabaseRow
  private let files: MovePlace
  /// The temporary name.
  private let interrupted: MovePlace

  /// How often logins may change the row during the move.
  private static let attempts = 20

  /// `template` is that of the files.
  init(of account: UserAccount, files template: String, settings: HostSettings) throws {
    self.account = account
    store = try EnrollmentStore(account: account, settings: settings)
    isToDatabase = settings.isPostgreSQL
    row = DatabaseRow(account: account)
    let owner = isToDatabase ? account : store.keeper
    files = try MovePlace(template, of: account, owner: owner, isShared: !isToDatabase && settings.isShared)
    interrupted = try MovePlace(interruptedAt: files, of: account)
  }

  func isNeeded() throws -> Bool {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    if try interrupted.opened(&identity) != nil { return true }
    identity.restore()
    if isToDatabase, try files.opened(&identity) != nil { return true }
    identity.restore()
    return try (!isToDatabase || isRegistered) && row.content() != nil
  }

  func run() throws -> Bool {
    if !files.path.isInHostStore { try requireNoOverride() }
    let isMoved = try Interruptions.held {
      var identity = FileSystemIdentity()
      defer { identity.restore() }
      return try isToDatabase ? toDatabase(&identity) : fromDatabase(&identity)
    }
    if isMoved { store.restoreLabels() }
    return isMoved
  }

  private var isRegistered: Bool {
    if case .registered = EnrollmentRegister.contains(account.entry.userID) { true } else { false }
  }

  private func requireNoOverride() throws {
    guard store.isOverridden else { return }
    throw MovePlace.override(of: account)
  }

  /// Lets this host refuse the user while neither the row nor the files are in force. Ignores errors.
  private func register() { _ = try? EnrollmentRegister.add(account.entry.userID) }

  // MARK: To the database

  private func toDatabase(_ identity: inout FileSystemIdentity) throws -> Bool {
    // Fail before any change if no server answers.
    let content = try row.content()
    if let opened = try files.opened(&identity) {
      try move(opened, over: content, &identity)
    } else {
      identity.restore()
      if let opened = try interrupted.opened(&identity) {
        try complete(lockedOrErased(opened, &identity), over: content, &identity)
      } else {
        identity.restore()
        guard content != nil, isRegistered else { return false }
      }
    }
    identity.restore()
    // The database needs no register, and an entry would refuse the user after another host disabled two-factor.
    _ = try? EnrollmentRegister.remove(account.entry.userID)
    return true
  }

  private func move(
    _ opened: borrowing EnrollmentDirectory, over content: DatabaseRow.Content?, _ identity: inout FileSystemIdentity
  ) throws {
    let locked = try files.explaining { () throws(EnrollmentFailure) in try store.lock(opened) }
    identity.restore()
    try requireSame(locked.credential.generation, content)
    // The leftover of an earlier move is obsolete if the files are in place.
    if try interrupted.opened(&identity) != nil { try erase(&identity) }
    identity.restore()
    register()
    try files.rename(to: interrupted, &identity)
    do {
      identity.restore()
      try row.put(locked.credential, locked.state.value)
    } catch let error as SetupError where error.status != .inputOutput {
      try? interrupted.rename(to: files, &identity)
      throw error
    } catch {
      throw unfinished(error)
    }
    extendLifetime(locked)
    try erase(&identity)
  }

  private func complete(
    _ locked: consuming LockedEnrollment<StateFile>?, over content: DatabaseRow.Content?,
    _ identity: inout FileSystemIdentity
  ) throws {
    guard let locked else { return }
    identity.restore()
    try requireSame(locked.credential.generation, content)
    var state = locked.state.value
    // The row may have existed, and codes may have been used, before two-factor was disabled on another host.
    if content == nil { state.useUpTimeSteps(of: locked.credential, window: store.settings.limits.window) }
    do {
      try row.put(locked.credential, state)
    } catch {
      throw unfinished(error)
    }
    extendLifetime(locked)
    try erase(&identity)
  }

  /// Locks files with the temporary name. Damaged files are left from a run that was killed while it erased them after
  /// the move: erases them, and returns nil.
  private func lockedOrErased(
    _ opened: borrowing EnrollmentDirectory, _ identity: inout FileSystemIdentity
  ) throws -> LockedEnrollment<StateFile>? {
    do throws(EnrollmentFailure) {
      return try store.lock(opened)
    } catch {
      guard error.reason == .corrupt else {
        return try interrupted.explaining { () throws(EnrollmentFailure) in throw error }
      }
    }
    try erase(&identity)
    return nil
  }

  private func unfinished(_ error: any Error) -> any Error {
    guard let error = error as? SetupError else { return error }
    return SetupError(
      error.status, "\(error.message), so it is unknown if the enrollment is in the database",
      hint: "logins refuse \(account.nameText) until you run the command again")
  }

  private func requireSame(_ generation: Generation, _ content: DatabaseRow.Content?) throws {
    guard let content, content.credential.generation != generation else { return }
    throw SetupError(
      .refused, "\(files.text) and the row of \(account.nameText) in the database are different enrollments",
      hint: "keep one of them: remove the files with rm -r \(files.text), or the row with twofactor disable")
  }

  // MARK: From the database

  private func fromDatabase(_ identity: inout FileSystemIdentity) throws -> Bool {
    guard var content = try row.content() else {
      guard let opened = try interrupted.opened(&identity) else { return false }
      try complete(lockedOrErased(opened, &identity), &identity)
      return true
    }
    if let existing = try files.opened(&identity) {
      identity.restore()
      try requireSame(existing, content)
    }
    identity.restore()
    register()
    for _ in 0..<Self.attempts {
      if try interrupted.opened(&identity) != nil { try erase(&identity) }
      identity.restore()
      try write(content.credential, content.state, &identity)
      identity.restore()
      guard let changed = try row.remove(content) else {
        try put(content.credential.generation, content.state, &identity)
        return true
      }
      content = changed
    }
    try erase(&identity)
    throw SetupError(
      .refused, "logins of \(account.nameText) changed the row repeatedly", hint: "run the command again")
  }

  private func write(
    _ credential: borrowing Credential, _ state: LoginState, _ identity: inout FileSystemIdentity
  ) throws {
    let tag = try EnrollmentStore.randomTag()
    try files.explaining { () throws(EnrollmentFailure) in
      try EnrollmentDirectory.create(
        files.path, as: interrupted.path, of: files.owner.entry, credential: credential.fileText, state: state,
        tag: tag, identity: &identity)
    }
  }

  /// Renames the files to their final name. If an earlier move left files there, marks the used codes as used in them.
  private func put(_ generation: Generation, _ state: LoginState, _ identity: inout FileSystemIdentity) throws {
    identity.restore()
    guard let existing = try files.opened(&identity) else { return try interrupted.rename(to: files, &identity) }
    var other = try files.explaining { () throws(EnrollmentFailure) in try store.lock(existing) }
    guard other.credential.generation == generation else {
      throw SetupError(
        .refused, "\(interrupted.text) is left from a move, but \(files.text) is another enrollment",
        hint: "remove it: rm -r \(interrupted.text)")
    }
    other.state.value.addUses(of: state)
    try files.explaining { () throws(EnrollmentFailure) in try other.save() }
    extendLifetime(other)
    try erase(&identity)
  }

  /// Completes a move that was killed after it removed the row.
  private func complete(
    _ locked: consuming LockedEnrollment<StateFile>?, _ identity: inout FileSystemIdentity
  ) throws {
    guard let locked else { return }
    var state = locked.state.value
    // The row may have been in force longer, until another host removed it.
    state.useUpTimeSteps(of: locked.credential, window: store.settings.limits.window)
    try interrupted.explaining { () throws(EnrollmentFailure) in try locked.save(state) }
    extendLifetime(locked)
    identity.restore()
    register()
    try put(locked.credential.generation, state, &identity)
  }

  private func requireSame(_ existing: borrowing EnrollmentDirectory, _ content: DatabaseRow.Content) throws {
    let generation = try files.explaining { () throws(EnrollmentFailure) in
      try existing.readCredential().generation
    }
    try requireSame(generation, content)
  }

  private func erase(_ identity: inout FileSystemIdentity) throws {
    identity.restore()
    try interrupted.explaining { () throws(EnrollmentFailure) in
      try EnrollmentDirectory.erase(interrupted.path, of: interrupted.owner.entry, identity: &identity)
    }
  }
}

extension LoginState {
  /// Marks the codes of all time steps up to now, and of the window after it, as used.
  fileprivate mutating func useUpTimeSteps(of credential: borrowing Credential, window: UInt64) {
    for index in 0..<credential.deviceCount {
      guard let device = credential.device(at: index), let step = device.timeStep(at: SystemClock.now) else { continue }
      self[device: index].nextFactor = max(self[device: index].nextFactor, step &+ window &+ 1)
    }
  }
}
