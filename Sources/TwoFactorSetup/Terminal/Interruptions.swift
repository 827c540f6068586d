import CSetup
import Glibc

/// While it lives, Ctrl-C, Ctrl-Z, a hang-up and a request to terminate wait on a descriptor instead of
/// ending the command in the middle of what it does.
@safe
struct Interruptions: ~Copyable {
  /// Readable when a signal has come.
  let descriptor: Int32
  private var mask: sigset_t

  /// Begins to watch; with `andResizing`, for a change of the window's size (SIGWINCH) as well.
  init(andResizing: Bool = false) throws {
    mask = sigset_t()
    descriptor = unsafe csetup_watch_interruptions(andResizing ? 1 : 0, &mask)
    guard descriptor >= 0 else {
      throw SetupError(.inputOutput, "cannot watch for signals: \(SystemError.current.text)")
    }
  }

  deinit {
    close(descriptor)
    var mask = mask
    unsafe sigprocmask(SIG_SETMASK, &mask, nil)
  }

  /// The number of a signal that came, or nil.
  func next() -> Int32? {
    let number = csetup_next_interruption(descriptor)
    return number == 0 ? nil : number
  }

  /// Lets a signal do to this process what it does to a program that knows nothing of it. Returns where the
  /// process goes on: it was stopped and continued, or the signal is ignored.
  static func deliver(_ signal: Int32) {
    csetup_deliver(signal)
  }

  /// Runs `body` to its end, whatever signals come meanwhile: what it does takes moments, and is done whole.
  static func held<Result>(while body: () throws -> Result) throws -> Result {
    let interruptions = try Interruptions()
    defer { while interruptions.next() != nil {} }
    return try body()
  }
}
