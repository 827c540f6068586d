import CSetup
import Enrollment
import FixedMemory
import Glibc
import HelperProtocol
import HostAccess
import SystemFiles

/// A child process that keeps root's privileges to change one register entry, while its parent drops them for good.
///
/// It can do no more than `twofactor-helper`, which users may start at any time. It ends with its parent.
final class RegisterKeeper {
  private let requests: Int32
  private let results: Int32

  /// - Throws: ``SetupError``.
  init(of user: UserID) throws {
    let (toChild, toParent) = try (Self.pipe(), Self.pipe())
    let child = csetup_fork()
    if child == 0 {
      close(toChild.write)
      close(toParent.read)
      Self.serve(user, requests: toChild.read, results: toParent.write)
    }
    let error = Errno.current
    close(toChild.read)
    close(toParent.write)
    (requests, results) = (toChild.write, toParent.read)
    guard child > 0 else { throw SetupError(.inputOutput, "cannot start a process: \(error.text)") }
  }

  deinit {
    close(requests)
    close(results)
  }

  func change(_ request: HelperRequest) -> RegisterChange {
    let lost = RegisterChange.failed("worker process failed")
    var number = request.rawValue
    // SAFETY: the byte outlives the call.
    guard unsafe write(requests, &number, 1) == 1 else { return lost }
    var block = [UInt8](repeating: 0, count: Int(PIPE_BUF))
    // SAFETY: the count is the size of the block. The kernel does not split a result this short (pipe(7)).
    let count = unsafe read(results, &block, block.count)
    guard count > 0 else { return lost }
    switch block[0] {
    case 0: return .unchanged
    case 1: return .changed
    case 2: return .noRegister
    default: return .failed(String(decoding: block[1..<count], as: UTF8.self))
    }
  }

  /// Changes the entry at each request, until its parent ends.
  private static func serve(_ user: UserID, requests: Int32, results: Int32) -> Never {
    // Block signals of the terminal: they end the parent, which blocks them itself during a change.
    let interruptions = try? Interruptions()
    for descriptor in STDIN_FILENO...STDERR_FILENO { close(descriptor) }
    var number: UInt8 = 0
    // SAFETY: the byte outlives the call.
    while unsafe read(requests, &number, 1) == 1, let request = HelperRequest(rawValue: number) {
      var result: [UInt8]
      switch RegisterChange(request, of: user) {
      case .unchanged: result = [0]
      case .changed: result = [1]
      case .noRegister: result = [2]
      case .failed(let problem): result = [3] + problem.utf8.prefix(255)
      }
      // SAFETY: the count is the size of the array.
      guard unsafe write(results, result, result.count) == result.count else { break }
    }
    extendLifetime(interruptions)
    _exit(0)
  }

  private static func pipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has two elements.
    guard unsafe csetup_pipe(&ends) == 0 else {
      throw SetupError(.inputOutput, "cannot create a pipe: \(Errno.current.text)")
    }
    return (ends[0], ends[1])
  }
}
