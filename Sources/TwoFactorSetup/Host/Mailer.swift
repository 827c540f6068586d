import CSetup
import Glibc

/// A program with the interface of sendmail(8): the recipient as its argument, the mail on its standard
/// input.
struct Mailer {
  let program: String

  /// How long it may take, in milliseconds.
  private static let patience = 10_000

  /// Hands a mail over.
  ///
  /// - Throws: ``SetupError`` where the program cannot be run, fails, or does not come to an end.
  func send(_ message: String, to recipient: String) throws {
    var ends: [Int32] = [-1, -1]
    guard unsafe csetup_pipe(&ends) == 0 else { throw failure(SystemError.current.text) }
    let process = Result { try start(recipient, input: ends[0]) }
    // A mail is shorter than the pipe is deep, so this does not wait for the program.
    let written = Result { try OutputStream(descriptor: ends[1]).write(message) }
    close(ends[0])
    close(ends[1])
    let status = try wait(for: process.get())
    guard status == 0 else { throw failure(status.map { "ended with \($0)" } ?? "did not come to an end") }
    try written.get()
  }

  private func start(_ recipient: String, input: Int32) throws -> pid_t {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var usual = sigset_t()
    unsafe sigemptyset(&usual)
    unsafe sigaddset(&usual, SIGPIPE)
    unsafe posix_spawnattr_setsigdefault(&attributes, &usual)
    // In a session of its own it has no terminal: it runs as the user, who may take hold of it (ptrace(2)), and through
    // root's terminal would type commands to root (TIOCSTI, ioctl_tty(2)).
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF) | csetup_spawn_in_new_session)

    let arguments = unsafe [program, "-i", recipient].map(Self.copy) + [nil]
    let environment = unsafe [Self.copy("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
    var process: pid_t = 0
    let error = unsafe posix_spawn(&process, program, &actions, &attributes, arguments, environment)
    guard error == 0 else { throw failure(SystemError(rawValue: error).text) }
    return process
  }

  private static func copy(_ text: String) -> UnsafeMutablePointer<CChar>? { unsafe strdup(text) }

  /// The exit status, or the signal as the shell counts it; nil where the program had to be ended.
  private func wait(for process: pid_t) -> Int32? {
    var status: Int32 = 0
    for _ in 0..<Self.patience / 20 {
      let found = unsafe waitpid(process, &status, WNOHANG)
      if found == process { return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f }
      if found < 0, SystemError.current != .interrupted { return nil }
      usleep(20_000)
    }
    kill(process, SIGKILL)
    unsafe waitpid(process, &status, 0)
    return nil
  }

  private func failure(_ problem: String) -> SetupError { SetupError(.inputOutput, "\(program): \(problem)") }
}
