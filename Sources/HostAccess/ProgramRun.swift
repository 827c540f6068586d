internal import CSetup
import Glibc
import SystemFiles

/// Runs a program that inherits nothing: it has a fixed environment, the root as its working directory, no descriptors
/// but the standard ones, and no ignored or blocked signals.
///
/// The program runs in a new session, without a terminal. Otherwise a user could take over a program that runs as that
/// user (ptrace(2)), and type commands into root's terminal (TIOCSTI, ioctl_tty(2)).
package struct ProgramRun {
  package enum End: Equatable {
    case exited(Int32)
    case signaled(Int32)
    /// Killed after the timeout.
    case timedOut
  }

  package let end: End
  /// Standard output and standard error, interleaved, up to the limit.
  package let outputBytes: [UInt8]

  /// The output as text; invalid bytes are replaced.
  package var output: String { String(decoding: outputBytes, as: UTF8.self) }

  private static let environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]

  /// - Parameters:
  ///   - path: An absolute path.
  ///   - arguments: Without the program name.
  ///   - input: Standard input, at most 4,096 bytes.
  ///   - inputDescriptor: The file to read instead of `input`.
  ///   - environment: `NAME=value`, beside the fixed ones.
  ///   - outputLimit: The bytes to keep; 0 discards the output.
  ///   - keepsErrors: False discards standard error.
  ///   - timeout: In seconds.
  /// - Throws: The error of starting the program or waiting for it.
  package init(
    _ path: String, _ arguments: [String], input: String = "", inputDescriptor: Int32? = nil,
    environment: [String] = [], outputLimit: Int = 0, keepsErrors: Bool = true, timeout: Int
  ) throws(Errno) {
    let standardInput = try Pipe()
    try standardInput.fill(with: Array(input.utf8))
    let standardOutput = try Pipe()
    let process = try Self.start(
      path, arguments, Self.environment + environment, input: inputDescriptor ?? standardInput.readEnd.descriptor,
      output: outputLimit > 0 ? standardOutput.writeEnd.descriptor : nil, keepsErrors: keepsErrors)
    // The reader sees the end when the last write end is closed.
    _ = consume standardInput
    _ = consume standardOutput.writeEnd
    var bytes: [UInt8] = []
    end = try Self.wait(for: process, timeout: timeout, reading: standardOutput.readEnd.descriptor) { block in
      bytes += block.prefix(outputLimit - bytes.count)
    }
    outputBytes = bytes
  }

  private static func start(
    _ path: String, _ arguments: [String], _ environment: [String], input: Int32, output: Int32?, keepsErrors: Bool
  ) throws(Errno) -> pid_t {
    guard csetup_close_on_exec() == 0 else { throw .current }
    // SAFETY: actions and attributes are initialized; null pointers terminate the arrays.
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    guard unsafe csetup_start_at_the_root(&actions) == 0 else { throw .outOfMemory }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    for stream in [STDOUT_FILENO, STDERR_FILENO] {
      if let output, stream == STDOUT_FILENO || keepsErrors {
        unsafe posix_spawn_file_actions_adddup2(&actions, output, stream)
      } else {
        unsafe posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0)
      }
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // The command ignores SIGPIPE, and its own parent may have ignored or blocked others.
    var (all, none) = (sigset_t(), sigset_t())
    unsafe sigfillset(&all)
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    let flags = Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK) | csetup_spawn_in_new_session
    unsafe posix_spawnattr_setflags(&attributes, flags)

    var process: pid_t = 0
    let error = unsafe withCStrings([path] + arguments) { words in
      unsafe withCStrings(environment) { environment in
        unsafe posix_spawn(&process, path, &actions, &attributes, words, environment)
      }
    }
    guard error == 0 else { throw Errno(rawValue: error) }
    return process
  }

  private static func wait(
    for process: pid_t, timeout: Int, reading output: Int32, _ keep: (ArraySlice<UInt8>) -> Void
  ) throws(Errno) -> End {
    let deadline = ContinuousClock.now + .seconds(timeout)
    var block = [UInt8](repeating: 0, count: 16_384)
    var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    var status: Int32 = 0
    var end: End?
    while ContinuousClock.now < deadline {
      // After the program's end, do not wait for output: its children may keep the pipe open.
      // SAFETY: poll(2) and read(2) get the sizes of their buffers.
      if unsafe poll(&entry, 1, end == nil ? 5 : 0) > 0 {
        let count = unsafe read(output, &block, block.count)
        if count > 0 {
          keep(block.prefix(count))
        } else if count == 0 || Errno.current != .interrupted {
          entry.fd = -1
        }
      } else if let end {
        return end
      }
      guard end == nil else { continue }
      // SAFETY: the status outlives the call.
      let found = unsafe waitpid(process, &status, WNOHANG)
      // The macros WIFEXITED, WEXITSTATUS and WTERMSIG.
      if found == process { end = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signaled(status & 0x7f) }
      guard found >= 0 || Errno.current == .interrupted else { throw .current }
    }
    if let end { return end }
    kill(process, SIGKILL)
    // SAFETY: the status outlives the call.
    while unsafe waitpid(process, &status, 0) < 0, Errno.current == .interrupted {}
    return .timedOut
  }
}

/// A pipe, closed on exec.
private struct Pipe: ~Copyable {
  let readEnd: OpenFile
  let writeEnd: OpenFile

  init() throws(Errno) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has two elements.
    guard unsafe csetup_pipe(&ends) == 0 else { throw .current }
    readEnd = OpenFile(owning: ends[0])
    writeEnd = OpenFile(owning: ends[1])
  }

  /// Writes at most 4,096 bytes, which fit into every pipe (pipe(7)).
  borrowing func fill(with bytes: [UInt8]) throws(Errno) {
    guard bytes.count <= Int(PIPE_BUF) else { throw Errno(rawValue: E2BIG) }
    // SAFETY: write(2) gets the array's size.
    guard unsafe write(writeEnd.descriptor, bytes, bytes.count) == bytes.count else { throw .current }
  }
}

/// Copies strings for a call, into a NULL-terminated array.
private func withCStrings(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Int32) -> Int32 {
  // SAFETY: the copies are freed after the call.
  let copies = unsafe strings.map { unsafe strdup($0) }
  defer { unsafe copies.forEach { unsafe free($0) } }
  return unsafe body(copies + [nil])
}
