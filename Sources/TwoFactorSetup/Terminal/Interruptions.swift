import CSetup
import Glibc
import HostAccess
import SystemFiles

/// While it exists, blocks Ctrl-C, Ctrl-Z, hang-up and termination, and queues them on a descriptor.
@safe
struct Interruptions: ~Copyable {
  let descriptor: Int32
  private var mask: sigset_t

  /// `andResizing` includes SIGWINCH.
  init(andResizing: Bool = false) throws {
    mask = sigset_t()
    // SAFETY: the mask is only accessed during the call.
    descriptor = unsafe csetup_watch_interruptions(andResizing ? 1 : 0, &mask)
    guard descriptor >= 0 else {
      throw SetupError(.inputOutput, "cannot watch for signals: \(Errno.current.text)")
    }
  }

  deinit {
    close(descriptor)
    var mask = mask
    // SAFETY: the mask is only accessed during the call.
    unsafe sigprocmask(SIG_SETMASK, &mask, nil)
  }

  func next() -> Int32? {
    let number = csetup_next_interruption(descriptor)
    return number == 0 ? nil : number
  }

  /// Unblocks all signals. The module starts the command with blocked signals.
  static func unblock() {
    var none = sigset_t()
    // SAFETY: the set is valid during both calls.
    unsafe sigemptyset(&none)
    unsafe sigprocmask(SIG_SETMASK, &none, nil)
  }

  static func deliver(_ signal: Int32) { csetup_deliver(signal) }

  /// Discards signals that arrive during `body`, which must be short.
  static func held<Result>(while body: () throws -> Result) throws -> Result {
    let interruptions = try Interruptions()
    defer { while interruptions.next() != nil {} }
    return try body()
  }
}

/// A signal to stop. The command undoes its changes, then dies of the signal.
struct Interruption: Error {
  let signal: Int32
  /// For a user who already acted on the output.
  var hint: String?
}
