import Enrollment
import Glibc

/// A change of an account's two-factor that its owner is told of, so that one that was somebody else's doing
/// does not go unseen. No secret is in it.
struct Notification {
  /// What changed.
  enum Event {
    case switchedOn
    case switchedOff
    case deviceAdded(String)
    case deviceRemoved(String)
    case newBackupCodes
  }

  let event: Event
  let user: String
  let host: String
  /// Whether root made the change for the user.
  let isByRoot: Bool
  let moment: Timestamp

  /// The mail, headers and all, in lines that end as sendmail(8) takes them.
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
    case .newBackupCodes: "new backup codes"
    }
  }
}

extension Session {
  /// Tells the user of a change where the host has a program for that. The change stands, whatever comes of
  /// it: a program that fails is warned about.
  ///
  /// It is the last thing that a subcommand does: root gives up its rights for it.
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
      try? OutputStream.standardError.write(
        "twofactor: the change is made, but nobody was told of it: \(problem.printable)\n")
    }
  }
}
