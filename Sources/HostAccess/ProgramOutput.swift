internal import CSetup
import Glibc

/// What a program of the host wrote, both streams together, and how it ended.
package struct ProgramOutput {
  package let status: Int32
  package let text: String

  private static let longest = 1 << 20

  /// Runs the program to its end, with nothing to read and an environment of its own. Nil where it cannot be run.
  package init?(_ program: String, _ arguments: [String]) {
    var ends: [Int32] = [-1, -1]
    guard unsafe csetup_pipe(&ends) == 0 else { return nil }
    defer { close(ends[0]) }

    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO)

    // Where it runs as another user, that user may take hold of it: it gets no terminal of root's (see ``Mailer``).
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    unsafe posix_spawnattr_setflags(&attributes, csetup_spawn_in_new_session)

    var words = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    var environment = unsafe [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), strdup("LC_ALL=C"), nil]
    defer { unsafe (words + environment).forEach { unsafe free($0) } }
    var process: pid_t = 0
    let result = unsafe posix_spawn(&process, program, &actions, &attributes, &words, &environment)
    close(ends[1])
    guard result == 0 else { return nil }

    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = unsafe read(ends[0], &block, block.count)
      if count == 0 || (count < 0 && SystemError.current != .interrupted) { break }
      if bytes.count < Self.longest { bytes += block.prefix(max(count, 0)) }
    }
    var end: Int32 = 0
    while unsafe waitpid(process, &end, 0) < 0 {
      guard SystemError.current == .interrupted else { return nil }
    }
    // WIFEXITED and WEXITSTATUS are macros.
    status = end & 0x7f == 0 ? (end >> 8) & 0xff : -1
    text = String(decoding: bytes, as: UTF8.self)
  }
}
