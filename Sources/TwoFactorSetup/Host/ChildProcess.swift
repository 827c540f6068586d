import CSetup
import Glibc

/// Work that is done in a process of its own, which may give up its rights for good.
enum ChildProcess {
  /// Does the work, and waits for its end.
  ///
  /// - Parameter body: The work. What it writes goes where the command's own goes.
  /// - Returns: What went wrong; nil where nothing did.
  static func failure(of body: () throws -> Void) -> SetupError? {
    let nothing = SetupError(.inputOutput, "the process that did the work did not come to its end")
    var ends: [Int32] = [-1, -1]
    // Closed in every program that the work starts: it runs as the account, and the report is root's to believe.
    guard unsafe csetup_pipe(&ends) == 0 else {
      return SetupError(.inputOutput, "no pipe: \(SystemError.current.text)")
    }
    let child = csetup_fork()
    if child == 0 {
      close(ends[0])
      let told = (try? OutputStream(descriptor: ends[1]).write(message(of: body))) != nil
      _exit(told ? 0 : 1)
    }
    close(ends[1])
    defer { close(ends[0]) }
    guard child > 0 else { return SetupError(.inputOutput, "no process: \(SystemError.current.text)") }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1024)
    while true {
      let count = unsafe read(ends[0], &block, block.count)
      if count == 0 || (count < 0 && SystemError.current != .interrupted) { break }
      bytes += block.prefix(max(count, 0))
    }
    var status: Int32 = 0
    while unsafe waitpid(child, &status, 0) < 0, SystemError.current == .interrupted {}
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\0", omittingEmptySubsequences: false)
    guard status == 0, parts.count == 3, let number = Int32(parts[0]) else { return nothing }
    guard number != 0 else { return nil }
    return SetupError(
      ExitStatus(rawValue: number), String(parts[1]), hint: parts[2].isEmpty ? nil : String(parts[2]))
  }

  /// The exit status, the message and the hint, divided by NULs, which none of them has.
  private static func message(of body: () throws -> Void) -> String {
    do {
      try body()
      return "0\0\0"
    } catch {
      let error = error as? SetupError ?? SetupError(.refused, "interrupted")
      return "\(error.status.rawValue)\0\(error.message.filter { $0 != "\0" })\0\(error.hint ?? "")"
    }
  }
}
