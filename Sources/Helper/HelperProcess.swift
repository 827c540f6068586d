import CHelper
import CSystem
import EnrollmentRequests
import FixedMemory
import HelperProtocol
import SystemFiles

/// `twofactor-helper`: carries out one request for its real user, from standard input, and writes one answer to
/// standard output. See `pam/helper-protocol.md`.
///
/// It is setgid `_twofactor` to search the register and the host store. Anyone can start it, so environment, limits,
/// signals and descriptors may be hostile.
enum HelperProcess {
  /// After this many seconds SIGALRM ends the process, because the caller may neither write nor read.
  private static var timeLimit: UInt32 { 10 }

  /// Returns the exit status.
  static func run() -> Int32 {
    guard chelper_close_memory() == 0, chelper_become_real_user() == 0, chelper_reset_limits() == 0 else {
      return HelperExit.system
    }
    chelper_reset_signals()
    _ = alarm(timeLimit)
    chelper_clear_environment()
    // In a setgid program, the C library has replaced closed descriptors by devices that are open in the wrong mode.
    guard chelper_is_open(0, 0) != 0, chelper_is_open(1, 1) != 0, chelper_is_open(2, 1) != 0 else {
      return HelperExit.inputOutput
    }
    chelper_close_others()
    umask(0o077)
    // SAFETY: a literal is NUL-terminated.
    guard unsafe chdir(Literal("/").cString) == 0 else { return HelperExit.system }
    guard chelper_argument_count() <= 1 else { return HelperExit.usage }

    guard let answer = HelperService.answer() else { return HelperExit.inputOutput }
    return send(answer)
  }

  /// Returns the exit status.
  private static func send(_ answer: borrowing SecretBuffer) -> Int32 {
    MessageStream.write(answer) ? HelperExit.status(HelperAnswer.status(of: answer.bytes)) : HelperExit.inputOutput
  }
}
