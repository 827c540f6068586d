import Enrollment
import FixedMemory
import Glibc
import HelperProtocol
import HostAccess
import SystemFiles

/// The entry of a user in the ``EnrollmentRegister``.
///
/// Root changes it directly or, if this process drops its privileges, through a ``RegisterKeeper``; other users through
/// `twofactor-helper`.
struct RegisterEntry {
  private enum Route {
    case direct
    case keeper(RegisterKeeper)
    case helper
  }

  let account: UserAccount
  private let route: Route

  /// `dropsPrivileges`: whether this process assumes the account's identity next.
  init(of account: UserAccount, dropsPrivileges: Bool) throws {
    self.account = account
    route = try geteuid() != 0 ? .helper : dropsPrivileges ? .keeper(RegisterKeeper(of: account.entry.userID)) : .direct
  }

  /// Whether root changes it.
  var isOfRoot: Bool {
    if case .helper = route { return false }
    return true
  }

  /// Adds the user. A failure is not an error: the first accepted login adds the user, too.
  func add() { _ = change(.register) }

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
        case .status, .check, .replace, .remove, .show: false
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

/// `twofactor-helper` is installed beside the command: `PREFIX/libexec/twofactor/twofactor-helper` for
/// `PREFIX/bin/twofactor`.
enum HelperProgram {
  /// In seconds; the helper times out after ten.
  private static let timeout = 15

  /// Sends one request for the calling user.
  static func change(_ request: HelperRequest) -> RegisterChange {
    guard String(decoding: EnrollmentRegister.path.bytes).isAccessible(F_OK) else { return .noRegister }
    guard let path else { return .failed("twofactor-helper is not installed") }
    let run: ProgramRun
    do throws(Errno) {
      guard let encoded = request.encoded else { return .failed("out of memory") }
      let message = String(decoding: encoded.bytes)
      run = try ProgramRun(path, [], input: message, outputLimit: HelperMessage.maximumLength + 4, timeout: timeout)
    } catch {
      return .failed("\(path) cannot be started: \(error.text)")
    }
    guard let answer = HelperAnswer(parsing: run.outputBytes.span) else {
      switch run.end {
      case .exited(let status): return .failed("\(path): exit status \(status)")
      case .signaled(let signal): return .failed("\(path): exit status \(128 + signal)")
      case .timedOut: return .failed("\(path): timed out")
      }
    }
    switch answer.status {
    case .done: return .unchanged
    case .unavailable: return .noRegister
    case .failed where answer.text.count > 0: return .failed(String(decoding: answer.text))
    case .failed: return .failed("\(path): out of memory")
    case .forbidden: return .failed("the policy of this host does not allow it")
    case .malformed, .unknownVersion, .unknownRequest, .refused, .absent, .noTicket:
      return .failed("\(path) is of another version")
    }
  }

  /// Nil unless root owns the program and no other user can write it.
  private static var path: String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    // SAFETY: readlink(2) leaves the last byte of the buffer, which stays NUL.
    guard unsafe readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0 else { return nil }
    let folders = String(terminated: buffer).split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    let path = folders.joined(separator: "/") + "/libexec/twofactor/twofactor-helper"
    // SAFETY: the path is NUL-terminated.
    guard let status = try? unsafe FileStatus(of: path, followsSymlink: false),
      TrustRule.file(of: .root).violation(of: status) == nil
    else { return nil }
    return path
  }
}
