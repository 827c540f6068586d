import CSetup
import Glibc
import HostAccess
import SystemFiles

/// Runs work on many accounts' files in a child process with a time limit: a FUSE file system may never answer, and a
/// process that waits for it cannot always be killed.
struct BoundedWork: ~Copyable {
  enum Outcome {
    case done([String])
    case timedOut
    case failed
  }

  /// Per account, in seconds.
  static let limit = 5

  private static let endOfText: UInt8 = 0
  private static let endOfRecord: UInt8 = 0x1E

  private let input: Int32
  private let child: pid_t
  private var bytes: [UInt8] = []

  /// Returns the texts of `body` for each index. After a timeout or failure, another child process continues with the
  /// next index.
  static func outcomes(count: Int, _ body: (Int) -> [String]) -> [Outcome] {
    var outcomes: [Outcome] = []
    while outcomes.count < count {
      guard var work = BoundedWork(indices: outcomes.count..<count, body) else {
        outcomes.append(.failed)
        continue
      }
      while outcomes.count < count {
        let outcome = work.next()
        outcomes.append(outcome)
        guard case .done = outcome else { break }
      }
    }
    return outcomes
  }

  private init?(indices: Range<Int>, _ body: (Int) -> [String]) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has two elements.
    guard unsafe csetup_pipe(&ends) == 0 else { return nil }
    let child = csetup_fork()
    if child == 0 {
      close(ends[0])
      Self.releaseStandardDescriptors()
      let output = OutputStream(descriptor: ends[1])
      for index in indices {
        guard (try? output.write(Self.record(body(index)))) != nil else { _exit(1) }
      }
      _exit(0)
    }
    close(ends[1])
    guard child > 0 else {
      close(ends[0])
      return nil
    }
    input = ends[0]
    self.child = child
  }

  /// Kills the child process, but does not wait for it: it may be in a system call that no signal ends.
  deinit {
    close(input)
    kill(child, SIGKILL)
    _ = waitpid(child, nil, WNOHANG)
  }

  /// A child that outlives the command must not keep the reader of its output waiting.
  private static func releaseStandardDescriptors() {
    // SAFETY: the path is NUL-terminated for the call.
    let none = unsafe open("/dev/null", O_RDWR)
    for descriptor in STDIN_FILENO...STDERR_FILENO where none < 0 || dup2(none, descriptor) < 0 { close(descriptor) }
  }

  private mutating func next() -> Outcome {
    let deadline = Self.now + Self.limit * 1000
    var block = [UInt8](repeating: 0, count: 4096)
    while true {
      if let end = bytes.firstIndex(of: Self.endOfRecord) {
        defer { bytes.removeFirst(end + 1) }
        return .done(
          bytes[..<end].split(separator: Self.endOfText, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) })
      }
      let left = deadline - Self.now
      guard left > 0 else { return .timedOut }
      var request = pollfd(fd: input, events: Int16(POLLIN), revents: 0)
      // SAFETY: poll(2) gets one entry.
      guard unsafe poll(&request, 1, Int32(left)) > 0 else { continue }
      // SAFETY: the count is the size of the block.
      let count = unsafe read(input, &block, block.count)
      guard count > 0 || (count < 0 && Errno.current == .interrupted) else { return .failed }
      bytes += block.prefix(max(count, 0))
    }
  }

  private static func record(_ texts: [String]) -> String {
    texts.map { text in String(text.unicodeScalars.filter { $0 != "\0" && $0 != "\u{1E}" }) }
      .joined(separator: "\0") + "\u{1E}"
  }

  /// The monotonic clock, in milliseconds.
  private static var now: Int {
    var time = timespec()
    // SAFETY: the structure outlives the call.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }
}
