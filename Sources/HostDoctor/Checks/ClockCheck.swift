internal import CSetup
import Enrollment
import Glibc
import HostAccess
import SystemFiles

/// Looks whether the clock is kept right: codes change every 30 seconds.
package enum ClockCheck {
  /// What to do about a clock that is wrong.
  package static let remedy = "switch on a time service, as: systemctl enable --now systemd-timesyncd, or chrony"

  private static let name = "clock"

  /// Files that were written when the clock was right or earlier than it is: by the time service, at every
  /// synchronisation and shutdown, and by the installation.
  private static let witnesses = [
    "/var/lib/systemd/timesync/clock", "/var/lib/chrony/drift", "/var/lib/chrony/chrony.drift",
    "/var/lib/ntp/ntp.drift", "/var/lib/ntpsec/ntp.drift", "/etc/pam.d/\(HostSettings.passwordService)",
  ]

  /// A file that is this much ahead of the clock, in seconds, shows that the clock is behind.
  private static let tolerance: Int64 = 60

  static func finding(of tree: HostTree) -> Finding {
    guard tree.isThisHost else { return .skipped(name, "a tree has no clock") }
    if let witness = witness(in: tree, now: SystemClock.now) { return witness }
    switch csetup_clock_is_synchronized() {
    case 1: return .ok(name, "the clock is synchronised")
    case 0:
      return .warning(
        name, "the clock is not synchronised: codes are refused when it is off by more than the window",
        remedy: remedy)
    default: return .skipped(name, "the kernel does not say whether the clock is synchronised")
    }
  }

  /// A clock that stands before something that has happened.
  private static func witness(in tree: HostTree, now: Int64) -> Finding? {
    let latest = witnesses.compactMap { path in tree.status(of: path).map { (path, Int64($0.st_mtim.tv_sec)) } }
      .max { $0.1 < $1.1 }
    guard let (path, time) = latest, time > now + tolerance else { return nil }
    return .failed(
      name,
      "the clock is wrong by \((time - now) / 60) minutes or more: it says \(Timestamp(seconds: now).readable), and \(path) "
        + "was written at \(Timestamp(seconds: time).readable); no code is right",
      remedy: remedy)
  }
}
