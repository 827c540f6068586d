import Glibc

/// The SELinux label of what the command makes, on a host that has SELinux: without it a login program may not
/// read an enrolment in a home.
enum SELinuxLabel {
  private static let programs = ["/usr/sbin/restorecon", "/sbin/restorecon"]

  /// Gives a directory, and what is in it, the labels that the host's policy has for them (restorecon(8)).
  ///
  /// An enrolment without its label is still there and whole: a login is refused until it is labelled, so
  /// nothing is undone where this does not work.
  static func restore(_ directory: String) {
    guard unsafe access("/sys/fs/selinux/enforce", F_OK) == 0,
      let program = programs.first(where: { unsafe access($0, X_OK) == 0 })
    else { return }
    _ = ProgramOutput(program, ["-R", directory])
  }
}
