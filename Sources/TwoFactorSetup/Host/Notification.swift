import HostAccess
import SystemFiles

/// A mail to the user about a change of the enrollment, which someone else may have made. Contains no secret.
struct Notification {
  enum Event {
    case switchedOn
    case switchedOff
    case deviceAdded(String)
    case deviceRemoved(String)
    case deviceResynced(String)
    case newBackupCodes
  }

  let event: Event
  let user: String
  let host: String
  let isByRoot: Bool
  let moment: Timestamp

  /// With headers. Lines end with LF, as sendmail(8) expects.
  var message: String {
    """
    To: \(user.printable)
    Subject: Two-factor login at \(host.printable): \(summary)
    Auto-Submitted: auto-generated
    MIME-Version: 1.0
    Content-Type: text/plain; charset=utf-8

    Account: \(user.printable)
    Host: \(host.printable)
    Change: \(summary)
    Made by: \(isByRoot ? "root" : user.printable)
    Time: \(moment.readable)

    If this was not you, tell the administrator of \(host.printable) at once.

    """
  }

  private var summary: String {
    switch event {
    case .switchedOn: "switched on"
    case .switchedOff: "switched off"
    case .deviceAdded(let name): "device added: \(name.printable)"
    case .deviceRemoved(let name): "device removed: \(name.printable)"
    case .deviceResynced(let name): "device resynchronized: \(name.printable)"
    case .newBackupCodes: "new backup codes"
    }
  }
}

extension Session {
  /// Runs the program of the option `notify`, if any. If it fails, this warns; the change stays.
  ///
  /// Call it last in a subcommand, because root drops its privileges.
  func tell(_ event: Notification.Event) {
    guard let program = settings.notify else { return }
    let notification = Notification(
      event: event, user: account.nameText, host: Self.hostName, isByRoot: subject.isManagedByRoot,
      moment: Timestamp(seconds: SystemClock.now))
    do {
      try Identity.become(account)
      try Mailer(program: program).send(notification.message, to: account.nameText)
    } catch {
      let problem = (error as? SetupError)?.message ?? "interrupted"
      try? terminal.remark(
        "twofactor: the change is made, but the notification failed: \(problem.printable)\n")
    }
  }
}

/// A program with the interface of sendmail(8): recipient as argument, mail on standard input.
struct Mailer {
  let program: String

  /// In seconds.
  private static let timeout = 10

  func send(_ message: String, to recipient: String) throws {
    let problem: String
    do throws(Errno) {
      switch try ProgramRun(program, ["-i", recipient], input: message, timeout: Self.timeout).end {
      case .exited(0): return
      case .exited(let status): problem = "exit status \(status)"
      // As shells do.
      case .signaled(let signal): problem = "exit status \(128 + signal)"
      case .timedOut: problem = "timed out"
      }
    } catch {
      problem = error.text
    }
    throw SetupError(.inputOutput, "\(program): \(problem)")
  }
}
