import CHelper
import CPostgreSQL
import CSystem
import EnrollmentRequests
import FixedMemory
import HelperProtocol
import PostgreSQLStore
import SystemFiles

/// `twofactor-store-postgresql`: carries out one request from standard input on a row of the database, and writes one
/// answer to standard output. See `pam/helper-protocol.md`.
///
/// Root starts it with the name of a user, or without one for requests about all users. `twofactor-helper` starts it
/// for its real user, who may be hostile, and whose group reads the settings. Without root or the group, it cannot read
/// them.
enum StoreProcess {
  /// Returns the exit status.
  static func run() -> Int32 {
    guard chelper_close_memory() == 0, chelper_become_real_user() == 0, chelper_reset_limits() == 0 else {
      return HelperExit.system
    }
    chelper_reset_signals()
    TimeLimit.noAnswer.announce()
    _ = alarm(TimeLimit.seconds)
    guard cpostgresql_hide_home() != 0 else { return HelperExit.system }
    guard chelper_is_open(0, 0) != 0, chelper_is_open(1, 1) != 0, chelper_is_open(2, 1) != 0 else {
      return HelperExit.inputOutput
    }
    chelper_close_others()
    umask(0o077)
    // SAFETY: a literal is NUL-terminated.
    guard unsafe chdir(Literal("/").cString) == 0 else { return HelperExit.system }
    guard let requester = requester() else { return HelperExit.usage }

    guard let answer = answer(to: requester) else { return HelperExit.inputOutput }
    TimeLimit.withdraw()
    guard MessageStream.write(answer) else { return HelperExit.inputOutput }
    return HelperExit.status(HelperAnswer.status(of: answer.bytes))
  }

  /// Nil if the arguments are wrong.
  private static func requester() -> StoreService.Requester? {
    let arguments = CommandLine.arguments.dropFirst()
    guard getuid() == 0 else { return arguments.isEmpty ? .user(UserID(rawValue: getuid())) : nil }
    guard arguments.count <= 1, arguments.first?.isEmpty != true else { return nil }
    return .root(about: arguments.first)
  }

  private static func answer(to requester: StoreService.Requester) -> SecretBuffer? {
    do throws(HelperStatus) {
      return try StoreService(MessageStream.read(), of: requester).answer()
    } catch {
      return HelperAnswer.encoded(error)
    }
  }
}
