import CSetup
import Glibc
import HostAccess
import SystemFiles

/// Blocks Ctrl-C, Ctrl-Z, hang-up and termination while it exists, and queues them on a descriptor.
@safe
struct Interruptions: ~Copyable {
  let descriptor: Int32
  private var mask: sigset_t

  /// Blocks the signals; with `andResizing` SIGWINCH too.
  init(andResizing: Bool = false) throws {
    mask = sigset_t()
    // SAFETY: the mask is written before the call returns.
    descriptor = unsafe csetup_watch_interruptions(andResizing ? 1 : 0, &mask)
    guard descriptor >= 0 else {
      throw SetupError(.inputOutput, "cannot watch for signals: \(Errno.current.text)")
    }
  }

  deinit {
    close(descriptor)
    var mask = mask
    // SAFETY: the mask is only read.
    unsafe sigprocmask(SIG_SETMASK, &mask, nil)
  }

  func next() -> Int32? {
    let number = csetup_next_interruption(descriptor)
    return number == 0 ? nil : number
  }

  /// Raises a signal with its default action.
  static func deliver(_ signal: Int32) { csetup_deliver(signal) }

  /// Runs `body`, which takes moments, and discards signals that arrive meanwhile.
  static func held<Result>(while body: () throws -> Result) throws -> Result {
    let interruptions = try Interruptions()
    defer { while interruptions.next() != nil {} }
    return try body()
  }
}

/// A signal asked the command to stop. The command unwinds, undoes its changes, and then dies of that signal.
struct Interruption: Error {
  let signal: Int32
}
