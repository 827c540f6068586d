import Enrollment
import FixedMemory
import Glibc
import HostAccess
import SystemFiles
import Verification

/// The enrolment of one account on the disk, as the subcommands look at it and change it.
///
/// No lock is held while a person is asked something. Every change is whole or not there, and a signal does
/// not come in between.
struct EnrollmentStore {
  /// What there is of an enrolment.
  enum Standing {
    case absent
    case enrolled
    /// There is something that no login can use.
    case unusable(EnrollmentFailure)
  }

  let account: UserAccount
  let settings: HostSettings
  private let place: Place

  /// Where the directory lies. It has one owner, and a store is copied.
  private final class Place {
    let path: EnrollmentPath

    init(_ path: consuming EnrollmentPath) { self.path = path }
  }

  init(account: UserAccount, settings: HostSettings) throws {
    self.account = account
    self.settings = settings
    do throws(EnrollmentFailure) {
      place = try Place(EnrollmentPath(template: settings.directoryTemplate.utf8.span, account: account.entry))
    } catch {
      throw SetupError(error, directory: settings.directoryTemplate)
    }
  }

  /// Whether the directory lies in the home, and is the user's to make.
  var isBelowHome: Bool { place.path.isBelowHome }

  /// The directory, for a person.
  var directory: String {
    var text = ByteText(capacity: 4095)
    place.path.describe(into: &text, account: account.entry)
    return String(decoding: text.bytes)
  }

  /// Looks what there is.
  ///
  /// - Throws: ``SetupError`` where that cannot be told, or where the way there cannot be trusted.
  func standing() throws -> Standing {
    var identity = FileSystemIdentity()
    do throws(EnrollmentFailure) {
      let opened = try EnrollmentDirectory(place.path, of: account.entry, identity: &identity)
      do throws(EnrollmentFailure) {
        _ = try opened.readCredential()
        return .enrolled
      } catch {
        return .unusable(error)
      }
    } catch {
      // Outside the homes a part of the path that is missing is no proof for a login that the user is not enrolled;
      // here it says that the directory is yet to be made.
      if error.reason == .absent || error.reason == .io && error.error == .noSuchFile && !isBelowHome { return .absent }
      throw explained(error)
    }
  }

  /// Throws where the directory cannot be made, as on a file system that is read-only, or may not be, as outside the
  /// homes by everybody but root.
  func requirePlace() throws {
    var path = Substring(directory)
    repeat {
      path = path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)
    } while unsafe !path.isEmpty && access(String(path), F_OK) != 0
    guard unsafe access(path.isEmpty ? "/" : String(path), W_OK) != 0 else { return }
    let error = SystemError.current
    let isForbidden = error == .accessDenied
    throw SetupError(
      isForbidden ? .notPermitted : .inputOutput, "\(directory) cannot be made: \(error.text)",
      hint: isBelowHome || !isForbidden
        ? nil : "outside the homes that is root's to do: twofactor … --user NAME, as root")
  }

  /// Creates the enrolment, or puts a new one in the place of the old.
  ///
  /// - Parameters:
  ///   - draft: What it consists of.
  ///   - state: The state to begin with; it names the generation.
  ///   - standing: What was there before.
  ///   - scratchCodes: Codes of another program among its backup codes.
  /// - Throws: ``SetupError``; then what was there before is in force.
  func switchOn(
    _ draft: CredentialDraft, state: LoginState, over standing: Standing, scratchCodes: [String] = []
  ) throws {
    let text = try draft.encoded(generation: state.generation)
    let tag = try Self.randomTag()
    try changing { identity in
      switch standing {
      case .absent: break
      case .enrolled:
        let opened = try open(&identity)
        let locked = try lock(opened)
        let state = try draft.state(state, over: locked, scratchCodes: scratchCodes, now: SystemClock.now)
        return try opened.replace(locked, with: text.bytes, state: state)
      case .unusable:
        let opened = try open(&identity)
        try opened.remove(place.path, of: account.entry, tag: tag, identity: &identity)
      }
      try EnrollmentDirectory.create(
        place.path, of: account.entry, credential: text.bytes, state: state, tag: tag, identity: &identity)
    }
    SELinuxLabel.restore(directory)
  }

  /// Ends the enrolment and erases its files.
  func switchOff() throws {
    let tag = try Self.randomTag()
    try changing { identity in
      let opened = try open(&identity)
      do throws(EnrollmentFailure) {
        let locked = try lock(opened)
        try opened.remove(place.path, of: account.entry, tag: tag, identity: &identity)
        extendLifetime(locked)
      } catch {
        // Files that no login can use are not worth a lock.
        guard error.reason == .corrupt || error.reason == .insecure else { throw error }
        try opened.remove(place.path, of: account.entry, tag: tag, identity: &identity)
      }
    }
  }

  /// Reads credential and state. Nobody is waited for: a login that holds the lock, stopped perhaps, does not keep
  /// anybody from looking. Only a state that was lost is made anew, under the lock; unless `mending` is false, where it
  /// stays as it is.
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

  /// Checks a code as a login does, counts it and uses it up.
  ///
  /// - Parameter line: What was typed.
  /// - Returns: How many backup codes are left where it was one of them, else nil.
  /// - Throws: ``SetupError`` with ``ExitStatus/refused`` where the code is not accepted.
  func useUp(_ line: borrowing SecretBuffer) throws -> Int? {
    let reply = try Self.reply(line)
    let (verdict, codesLeft) = try changing { identity in
      let opened = try open(&identity)
      let check = try CodeCheck(reply, in: opened, limits: settings.limits)
      return (check.verdict, check.backupCodesLeft)
    }
    if let refusal = verdict.refusal {
      var period: Int64?
      if case .outsideWindow = refusal { period = try read { credential, _ in credential.commonPeriod } }
      throw CodeRefusal(refusal, period: period).error
    }
    if case .acceptedBackupCode = verdict { return codesLeft }
    return nil
  }

  /// Takes the lock. A state that was lost is made anew at the first try, in which everything counts as used.
  func lock(_ opened: borrowing EnrollmentDirectory) throws(EnrollmentFailure) -> LockedEnrollment {
    do throws(EnrollmentFailure) {
      return try LockedEnrollment.locking(opened, limits: settings.limits)
    } catch {
      guard error.isOfLostState else { throw error }
      return try LockedEnrollment.locking(opened, limits: settings.limits)
    }
  }

  /// Opens the directory.
  func open(_ identity: inout FileSystemIdentity) throws -> EnrollmentDirectory {
    try EnrollmentDirectory(place.path, of: account.entry, identity: &identity)
  }

  /// Makes a change that no signal interrupts.
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

  private func explained(_ failure: EnrollmentFailure) -> SetupError { SetupError(failure, directory: directory) }

  private static func reply(_ line: borrowing SecretBuffer) throws -> Reply {
    do throws(Reply.Problem) {
      return try Reply(line.bytes)
    } catch {
      throw CodeRefusal(error).error
    }
  }

  private static func randomTag() throws -> UInt64 {
    let random = try Randomness.bytes(count: 8)
    return (0..<8).reduce(0) { $0 << 8 | UInt64(random.bytes[$1]) }
  }
}

extension EnrollmentFailure {
  /// Whether the state was lost or damaged, which whoever takes the lock mends.
  fileprivate var isOfLostState: Bool { reason == .corrupt && subject.description == "state" }
}
