import Enrollment
import FixedMemory
import HostAccess
import SystemFiles

/// A place of an enrollment on disk: a template, expanded for an account.
final class MovePlace {
  let path: EnrollmentPath
  let owner: UserAccount
  let text: String

  init(_ template: String, of account: UserAccount, owner: UserAccount, isShared: Bool = false) throws {
    do throws(EnrollmentFailure) {
      path = try EnrollmentPath(template: template.utf8.span, account: account.entry, isShared: isShared)
    } catch {
      throw SetupError(error, directory: template)
    }
    self.owner = owner
    text = Self.text(of: path, account)
  }

  /// The temporary name of a place during a move.
  init(interruptedAt place: MovePlace, of account: UserAccount) throws {
    do throws(EnrollmentFailure) {
      // No other command creates this name: they use random numbers, and in the host store numbers below 16.
      path = try EnrollmentPath(place.path, suffix: place.path.isInHostStore ? ".removed-16" : ".removed-0")
    } catch {
      throw SetupError(error, directory: place.text)
    }
    owner = place.owner
    text = Self.text(of: path, account)
  }

  private static func text(of path: borrowing EnrollmentPath, _ account: UserAccount) -> String {
    var text = ByteText(capacity: 4095)
    path.describe(into: &text, account: account.entry)
    return String(decoding: text.bytes)
  }

  /// Nil if there is no directory.
  func opened(_ identity: inout FileSystemIdentity) throws -> EnrollmentDirectory? {
    identity.restore()
    do throws(EnrollmentFailure) {
      return try EnrollmentDirectory(path, of: owner.entry, identity: &identity)
    } catch {
      let isWithoutParent = error.reason == .io && error.error == .noSuchFile && !path.isBelowHome
      guard error.reason == .absent || isWithoutParent else { throw explained(error) }
      return nil
    }
  }

  func explaining<Result: ~Copyable>(_ body: () throws(EnrollmentFailure) -> Result) throws -> Result {
    do throws(EnrollmentFailure) {
      return try body()
    } catch {
      throw explained(error)
    }
  }

  func rename(to other: MovePlace, _ identity: inout FileSystemIdentity) throws {
    identity.restore()
    try explaining { () throws(EnrollmentFailure) in
      try EnrollmentDirectory.rename(path, to: other.path, of: owner.entry, identity: &identity)
    }
  }

  static func override(of account: UserAccount) -> SetupError {
    SetupError(
      .refused, "the host store has an enrollment of \(account.nameText), which overrides all others",
      hint: "move it instead: twofactor move --user \(account.nameText) --from host")
  }

  private func explained(_ failure: EnrollmentFailure) -> SetupError {
    let error = SetupError(failure, directory: text)
    guard error.status == .notPermitted else { return error }
    return SetupError(
      error.status, error.message, hint: "the file system denies root access: try again while the user is logged in")
  }
}
