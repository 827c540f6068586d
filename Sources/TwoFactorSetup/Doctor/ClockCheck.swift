import CSetup

/// Looks whether the clock is kept right: codes change every 30 seconds.
enum ClockCheck {
  static func finding(of tree: HostTree) -> Finding {
    let name = "clock"
    guard tree.isThisHost else { return .skipped(name, "a tree has no clock") }
    switch csetup_clock_is_synchronized() {
    case 1: return .ok(name, "the clock is synchronised")
    case 0:
      return .warning(
        name, "the clock is not synchronised: codes are refused when it is off by more than the window",
        remedy: "switch on a time service, as: systemctl enable --now systemd-timesyncd, or chrony")
    default: return .skipped(name, "the kernel does not say whether the clock is synchronised")
    }
  }
}
