internal import CSetup
import HostAccess
import SystemFiles

/// Checks the clock, on which codes depend.
package enum ClockCheck {
  package static let remedy = "enable a time service, as: systemctl enable --now systemd-timesyncd, or chrony"

  private static let name = "clock"

  /// Files that a time service or the installation wrote. A correct clock is not behind them.
  private static let witnesses = [
    "/var/lib/systemd/timesync/clock", "/var/lib/chrony/drift", "/var/lib/chrony/chrony.drift",
    "/var/lib/ntp/ntp.drift", "/var/lib/ntpsec/ntp.drift", "/etc/pam.d/\(PAMService.password)",
  ]

  /// A file may be this many seconds newer than now.
  private static let tolerance: Int64 = 60

  /// In seconds.
  private static let tolerableDifference = 2.0

  static func finding(of tree: HostTree) -> Finding {
    guard tree.isThisHost else { return .skipped(name, "a tree has no clock") }
    if let finding = newerFile(in: tree, now: SystemClock.now) { return finding }
    switch csetup_clock_is_synchronized() {
    case 1: return .ok(name, "the clock is synchronized")
    case 0:
      return .warning(
        name, "the clock is not synchronized: codes are refused once it is off by more than the window",
        remedy: remedy)
    default: return .skipped(name, "the kernel does not report whether the clock is synchronized")
    }
  }

  /// Compares the clock with that of another machine, which is ahead by `difference` seconds. `window`: how many seconds
  /// the clock may be wrong. Nil if they agree.
  static func finding(comparing difference: Double, with machine: String, window: Int64) -> Finding? {
    guard difference.magnitude >= max(tolerableDifference, Double(window) / 10) else { return nil }
    let direction = difference > 0 ? "behind" : "ahead of"
    let seconds = Int(min(difference.magnitude.rounded(), 1e12))
    return .warning(
      name,
      "the clock is \(seconds) seconds \(direction) that of \(machine): codes are refused on the host whose clock is "
        + "off by more than \(window) seconds",
      remedy: remedy)
  }

  static func newerFile(in tree: HostTree, now: Int64) -> Finding? {
    let newest = witnesses.compactMap { path in tree.status(of: path).map { (path, $0.modifiedAt) } }
      .max { $0.1 < $1.1 }
    guard let (path, time) = newest, time > now + tolerance else { return nil }
    return .failed(
      name,
      "the clock is wrong by \((time - now) / 60) minutes or more: it shows \(Timestamp(seconds: now).readable), and "
        + "\(path) was written at \(Timestamp(seconds: time).readable); every code is refused",
      remedy: remedy)
  }
}
