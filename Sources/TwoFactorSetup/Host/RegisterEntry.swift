import Enrollment
import FixedMemory
import Glibc
import HelperProtocol
import HostAccess
import SystemFiles

/// The entry of a user in the ``EnrollmentRegister``.
///
/// Root changes it directly or, if this process drops its privileges, through a ``RegisterKeeper``; other users through
/// `twofactor-helper`, which in the host store changes it together with the enrollment. A database needs no register:
/// there, an entry is left from another store, and only root removes it.
struct RegisterEntry {
  private enum Route {
    case direct
    case keeper(RegisterKeeper)
    case helper
    case store
  }

  let account: UserAccount
  private let route: Route
  private let isNeeded: Bool

  /// `dropsPrivileges`: whether this process assumes the account's identity next.
  init(of account: UserAccount, _ settings: HostSettings, dropsPrivileges: Bool) throws {
    self.account = account
    isNeeded = !settings.isPostgreSQL
    if geteuid() != 0 {
      route = settings.isHostStore || settings.isPostgreSQL ? .store : .helper
    } else {
      route = try dropsPrivileges ? .keeper(RegisterKeeper(of: account.entry.userID)) : .direct
    }
  }

  /// Whether root changes it.
  var isOfRoot: Bool {
    switch route {
    case .direct, .keeper: true
    case .helper, .store: false
    }
  }

  /// Adds the user. A failure is not an error: the first accepted login adds the user, too.
  func add() {
    if isNeeded { _ = change(.register) }
  }

  /// Removes the user.
  ///
  /// - Returns: Whether the register named the user; always false if another user than root asks.
  /// - Throws: ``SetupError``: if the enrollment were removed then, logins would be refused.
  @discardableResult
  func remove() throws -> Bool {
    switch change(.unregister) {
    case .changed: return true
    case .unchanged, .noRegister: return false
    case .failed(let problem):
      throw SetupError(
        .inputOutput, "\(account.nameText.printable) stays in the register of enrolled users: \(problem)",
        hint: isOfRoot ? nil : "ask the administrator to run: twofactor disable --user \(account.nameText.printable)")
    }
  }

  private func change(_ request: HelperRequest) -> RegisterChange {
    switch route {
    case .direct: RegisterChange(request, of: account.entry.userID)
    case .keeper(let keeper): keeper.change(request)
    case .helper: HelperProgram.change(request)
    case .store: .unchanged
    }
  }
}

enum RegisterChange: Equatable {
  case changed
  case unchanged
  case noRegister
  case failed(String)

  /// Changes an entry with root's privileges.
  init(_ request: HelperRequest, of user: UserID) {
    do throws(EnrollmentFailure) {
      let isChanged =
        switch request {
        case .register: try EnrollmentRegister.add(user)
        case .unregister: try EnrollmentRegister.remove(user)
        default: false
        }
      self = isChanged ? .changed : .unchanged
    } catch {
      guard error.reason != .absent else {
        self = .noRegister
        return
      }
      var text = ByteText(capacity: 255)
      error.describe(into: &text)
      self = .failed(String(decoding: text.bytes))
    }
  }
}

extension HelperProgram {
  /// Sends a request of the calling user that changes the register.
  static func change(_ request: HelperRequest) -> RegisterChange {
    guard String(decoding: EnrollmentRegister.path.bytes).isAccessible(F_OK) else { return .noRegister }
    do {
      let answer = try helper.ask(request.encoded)
      switch answer.status {
      case .done: return .unchanged
      case .unavailable: return .noRegister
      case .forbidden: return .failed("the policy of this host does not allow it")
      default: return .failed(answer.text.count > 0 ? String(decoding: answer.text) : SetupError.outOfMemory.message)
      }
    } catch {
      return .failed((error as? SetupError)?.message ?? "no answer")
    }
  }
}
