import Enrollment
import FixedMemory
import Glibc
import HostAccess
import KeyFormats
import SystemFiles
import Verification

/// The enrollment of an account on disk or in a database, for reading and atomic changes.
///
/// Prompts never hold the lock. Changes block signals.
struct EnrollmentStore {
  enum Standing {
    case absent
    case enrolled
    /// An enrollment that logins reject.
    case unusable(EnrollmentFailure)
  }

  let account: UserAccount
  let settings: HostSettings
  /// The account that owns the enrollment: the user, unless `owner` names another one.
  let keeper: UserAccount
  /// Whether the host store has an enrollment of the account, which overrides this one. Only root can know.
  let isOverridden: Bool
  /// For hints: that of the session.
  var userOption = ""
  /// Nil if this process accesses the files itself.
  let helper: HelperRoute?
  /// Nil for a database.
  private let place: Place?

  /// Shares the noncopyable path between copies.
  final class Place {
    let path: EnrollmentPath

    fileprivate init(_ path: consuming EnrollmentPath) { self.path = path }
  }

  /// The ``directory`` of an enrollment in a database: the value of `store`.
  static let database = "postgresql"

  init(account: UserAccount, settings: HostSettings) throws {
    self.account = account
    self.settings = settings
    do {
      keeper = try settings.owner.map { try UserAccount.existing(named: $0) } ?? account
    } catch let error as SetupError where error.status == .noSuchAccount {
      throw SetupError(.configuration, "owner: \(error.message)", hint: "correct owner, in \(HostSettings.path)")
    }
    place = settings.isPostgreSQL ? nil : try Self.place(of: account, settings)
    do throws(EnrollmentFailure) {
      if geteuid() == 0, !settings.isHostStore { try HostStore.requirePresence(of: account.entry.userID, false) }
      isOverridden = false
    } catch {
      isOverridden = true
    }
    directory = place.map { Self.text(of: $0.path, account) } ?? Self.database
    let isOfUser = geteuid() != 0 && geteuid() == account.userID
    if settings.isPostgreSQL, geteuid() == 0 {
      helper = HelperRoute(toRowOf: account)
    } else if settings.isHostStore || settings.isPostgreSQL, isOfUser {
      helper = HelperRoute(account: account, directory: directory)
    } else {
      helper = nil
    }
    guard settings.owner == nil || !isBelowHome else {
      throw SetupError(
        .configuration, "owner needs a directory outside the homes", hint: "correct directory, in \(HostSettings.path)")
    }
    guard settings.owner == nil || [0, keeper.userID].contains(geteuid()) else {
      throw SetupError(
        .notPermitted, "the enrollments on this host belong to \(keeper.nameText)",
        hint: "only root can use them: run the command as root with --user NAME")
    }
  }

  /// Whether the path is below the home directory, so that the user may create it.
  var isBelowHome: Bool { place?.path.isBelowHome == true }

  /// Absolute, or ``database``.
  let directory: String

  /// Throws for a database, which only ``helper`` can open.
  func files() throws -> Place {
    guard let place else {
      throw SetupError(
        .notPermitted, "the enrollment of \(account.nameText) is in a database",
        hint: "only root and \(account.nameText) can use it")
    }
    return place
  }

  private static func place(of account: UserAccount, _ settings: HostSettings) throws -> Place {
    do throws(EnrollmentFailure) {
      return try Place(
        EnrollmentPath(
          template: settings.directoryTemplate.utf8.span, account: account.entry, isShared: settings.isShared))
    } catch {
      throw SetupError(error, directory: settings.directoryTemplate)
    }
  }

  private static func text(of path: borrowing EnrollmentPath, _ account: UserAccount) -> String {
    var text = ByteText(capacity: 4095)
    path.describe(into: &text, account: account.entry)
    return String(decoding: text.bytes)
  }

  /// - Throws: ``SetupError`` if the path cannot be read or trusted, or the helper cannot read the files.
  func standing() throws -> Standing {
    try requireForce()
    if let helper { return try helper.standing() }
    let place = try files()
    var identity = FileSystemIdentity()
    do throws(EnrollmentFailure) {
      let opened = try EnrollmentDirectory(place.path, of: keeper.entry, identity: &identity)
      do throws(EnrollmentFailure) {
        _ = try opened.readCredential()
        return .enrolled
      } catch {
        return .unusable(error)
      }
    } catch {
      // A missing parent outside the homes proves nothing to a login, but here the directory is yet to be created.
      if error.reason == .absent || error.reason == .io && error.error == .noSuchFile && !isBelowHome { return .absent }
      throw explained(error)
    }
  }

  /// Whether the enrollment is absent, whatever the register says; see ``EnrollmentFailure/isProven``.
  var isProvenAbsent: Bool {
    guard let place = try? files() else { return false }
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do throws(EnrollmentFailure) {
      _ = try EnrollmentDirectory(place.path, of: keeper.entry, identity: &identity)
      return false
    } catch {
      return error.isProven
    }
  }

  /// Throws if the directory cannot be created: on a read-only file system, or outside the homes by a user other than
  /// root.
  func requirePlace() throws {
    if settings.isHostStore { return try HelperRoute.requireFolders() }
    if settings.isPostgreSQL { return }
    var path = Substring(directory)
    repeat {
      path = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    } while !path.isEmpty && !String(path).isAccessible(F_OK)
    let parent = path.isEmpty ? "/" : String(path)
    if settings.owner != nil, parent.owner != keeper.userID { throw missingFolder }
    if parent.isAccessible(W_OK) { return }
    let error = Errno.current
    let isForbidden = error == .accessDenied
    throw SetupError(
      isForbidden ? .notPermitted : .inputOutput, "cannot create \(directory): \(error.text)",
      hint: isBelowHome || !isForbidden
        ? nil : "only root can create it: run the command as root with --user NAME")
  }

  private var missingFolder: SetupError {
    let folder = HostSettings.folder(of: settings.directoryTemplate)
    let exists = folder.isAccessible(F_OK)
    let words = exists ? "is not owned by" : "does not exist; it must belong to"
    return SetupError(
      .configuration, "\(folder) \(words) \(keeper.nameText)",
      hint: HostSettings.creation(of: folder, owner: keeper.nameText, exists: exists))
  }

  /// Labels the directory for SELinux (restorecon(8)). A failure is not an error: logins are refused until the
  /// administrator labels it.
  func restoreLabels() {
    guard place != nil else { return }
    let programs = ["/usr/sbin/restorecon", "/sbin/restorecon"]
    guard "/sys/fs/selinux/enforce".isAccessible(F_OK), let program = programs.first(where: { $0.isAccessible(X_OK) })
    else { return }
    let label = { _ = try? ProgramRun(program, ["-R", directory], timeout: 60) }
    // A user who owns a part of the path could exchange it for a symlink.
    if geteuid() != 0 || keeper.userID == 0 || directory.isOfRootAlone { return label() }
    _ = ChildProcess.failure {
      try Identity.become(keeper)
      label()
    }
  }

  /// The failure if a FUSE file system, which may never answer, is mounted inside the home on the way to a file.
  var fuseFailure: EnrollmentFailure? {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    do {
      try open(&identity).requireNoFUSE()
    } catch let error as EnrollmentFailure
      where error.problem.description == EnrollmentFailure.problemOfFUSE.description
    {
      return error
    } catch {
      // Reported by the other checks.
    }
    return nil
  }

  /// Whether logins need free space because btrfs copies the state. False if it cannot be opened.
  var copiesStateOnWrite: Bool {
    var identity = FileSystemIdentity()
    defer { identity.restore() }
    return (try? open(&identity).copiesStateOnWrite) ?? false
  }

  /// Removes the enrollment.
  func switchOff() throws {
    if let helper { return try helper.remove() }
    let tag = try Self.randomTag()
    let place = try files()
    try changing { identity in
      let opened = try open(&identity)
      do throws(EnrollmentFailure) {
        let locked = try lock(opened)
        try opened.remove(place.path, of: keeper.entry, tag: tag, identity: &identity)
        extendLifetime(locked)
      } catch {
        // Files that logins reject need no lock.
        guard error.reason == .corrupt || error.reason == .insecure else { throw error }
        try opened.remove(place.path, of: keeper.entry, tag: tag, identity: &identity)
      }
    }
  }

  /// Reads credential and state without the lock, which a stopped login may hold. With `mending`, acquires it to
  /// recreate a lost state.
  func read<Result>(
    mending: Bool = true, _ body: (borrowing Credential, LoginState) throws -> Result
  ) throws -> Result {
    var identity = FileSystemIdentity()
    do {
      let opened = try open(&identity)
      do {
        let snapshot = try EnrollmentSnapshot(of: opened)
        return try body(snapshot.credential, snapshot.state)
      } catch let error as EnrollmentFailure where mending && error.isOfLostState {
        let locked = try lock(opened)
        return try body(locked.credential, locked.state.value)
      }
    } catch let error as EnrollmentFailure {
      throw explained(error)
    }
  }

  /// The device with its key.
  func device(named name: String) throws -> DeviceDraft {
    if let helper {
      let devices = try helper.report()?.devices ?? []
      guard let status = devices.first(where: { $0.name == name }) else { throw SetupError.noDevice(name) }
      return try DeviceDraft(status, of: helper.credential())
    }
    return try read { credential, state in
      guard let index = credential.index(ofDeviceNamed: name),
        let status = DeviceStatus(of: credential, at: index, state: state)
      else { throw SetupError.noDevice(name) }
      return try DeviceDraft(status, of: credential)
    }
  }

  /// Checks a code as a login does. Returns the number of backup codes left after a backup code.
  func useUp(_ line: borrowing SecretBuffer) throws -> Int? {
    let reply = try Self.reply(line)
    if let helper {
      let checked = try helper.check(line.bytes, .login)
      if let refused = checked.refusal { throw refusal(refused, checked).error }
      return checked.method == .backupCode ? Int(checked.backupCodesLeft) : nil
    }
    let (verdict, codesLeft) = try changing { identity in
      let opened = try open(&identity)
      let check = try CodeCheck(reply, in: opened, limits: settings.limits)
      return (check.verdict, check.backupCodesLeft)
    }
    if let refused = verdict.refusal {
      throw try read { credential, state in refusal(refused, by: credential, state) }.error
    }
    if case .acceptedBackupCode = verdict { return codesLeft }
    return nil
  }

  /// Acquires the lock. If the state was lost, the first attempt recreates it, with all codes marked as used.
  func lock(_ opened: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> LockedEnrollment<StateFile> {
    do throws(EnrollmentFailure) {
      return try opened.locked(settings.limits)
    } catch {
      guard error.isOfLostState else { throw error }
      return try opened.locked(settings.limits)
    }
  }

  func open(_ identity: inout FileSystemIdentity) throws -> EnrollmentDirectory {
    try requireForce()
    return try EnrollmentDirectory(files().path, of: keeper.entry, identity: &identity)
  }

  func changing<Result>(_ body: (inout FileSystemIdentity) throws -> Result) throws -> Result {
    try Interruptions.held {
      var identity = FileSystemIdentity()
      do {
        return try body(&identity)
      } catch let error as EnrollmentFailure {
        throw explained(error)
      }
    }
  }

  /// Throws if an enrollment in the host store overrides this one.
  func requireForce() throws {
    guard isOverridden else { return }
    throw SetupError(
      .refused, "the host store has an enrollment of \(account.nameText), and logins refuse any other",
      hint: "move it: twofactor move --user \(account.nameText) --from host")
  }

  private func explained(_ failure: EnrollmentFailure) -> SetupError {
    let isOfOther = HostSettings.folder(of: settings.directoryTemplate).owner != keeper.userID
    if settings.owner != nil, failure.reason == .insecure, isOfOther { return missingFolder }
    return SetupError(failure, directory: directory)
  }

  private static func reply(_ line: borrowing SecretBuffer) throws -> Reply {
    do throws(Reply.Problem) {
      return try Reply(line.bytes)
    } catch {
      throw CodeRefusal(error).error
    }
  }

  static func randomTag() throws -> UInt64 {
    let random = try Randomness.bytes(count: 8)
    return (0..<8).reduce(0) { $0 << 8 | UInt64(random.bytes[$1]) }
  }
}

extension String {
  /// Nil if the path does not exist.
  fileprivate var owner: uid_t? {
    // SAFETY: the path is NUL-terminated.
    (try? unsafe FileStatus(of: self, followsSymlink: true))?.owner.rawValue
  }

  /// Whether the real user may access this path (access(2)).
  func isAccessible(_ mode: Int32) -> Bool {
    // SAFETY: the path is NUL-terminated.
    unsafe access(self, mode) == 0
  }
}
