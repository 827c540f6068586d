import CSetup
import Glibc
import HostAccess
import SystemFiles

/// Work in a child process, which may drop its privileges for good.
enum ChildProcess {
  /// Runs `body` in a child and waits. Returns its error, or nil.
  static func failure(of body: () throws -> Void) -> SetupError? {
    let incomplete = SetupError(.inputOutput, "worker process failed")
    var ends: [Int32] = [-1, -1]
    // The pipe closes on exec: a program that the child starts runs as the account, and could forge the report to root.
    // SAFETY: the array has two elements.
    guard unsafe csetup_pipe(&ends) == 0 else {
      return SetupError(.inputOutput, "cannot create a pipe: \(Errno.current.text)")
    }
    let child = csetup_fork()
    if child == 0 {
      close(ends[0])
      let isReported = (try? OutputStream(descriptor: ends[1]).write(message(of: body))) != nil
      _exit(isReported ? 0 : 1)
    }
    close(ends[1])
    defer { close(ends[0]) }
    guard child > 0 else { return SetupError(.inputOutput, "cannot start a process: \(Errno.current.text)") }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1024)
    while true {
      // SAFETY: the count is the size of the block.
      let count = unsafe read(ends[0], &block, block.count)
      if count == 0 || (count < 0 && Errno.current != .interrupted) { break }
      bytes += block.prefix(max(count, 0))
    }
    var status: Int32 = 0
    // SAFETY: waitpid(2) writes one status.
    while unsafe waitpid(child, &status, 0) < 0, Errno.current == .interrupted {}
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\0", omittingEmptySubsequences: false)
    guard status == 0, parts.count == 3, let number = Int32(parts[0]) else { return incomplete }
    guard number != 0 else { return nil }
    return SetupError(
      ExitStatus(rawValue: number), String(parts[1]), hint: parts[2].isEmpty ? nil : String(parts[2]))
  }

  /// Exit status, message and hint, separated by NULs.
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

enum Identity {
  /// Drops root's privileges for good, and assumes the identity of an account with its groups.
  static func become(_ account: UserAccount) throws {
    if geteuid() == account.userID { return }
    // SAFETY: the name is NUL-terminated.
    let changed =
      unsafe initgroups(account.nameText, account.groupID) == 0
      && csetup_set_identity(account.userID, account.groupID) == 0
    guard changed else {
      throw SetupError(.notPermitted, "cannot act as \(account.nameText): \(Errno.current.text)")
    }
    guard csetup_has_identity(account.userID, account.groupID) == 1, setuid(0) != 0 else {
      throw SetupError(.notPermitted, "cannot drop the privileges of root")
    }
  }
}
