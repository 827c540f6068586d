internal import FixedMemory
internal import LoginPolicy

/// The origin of a login: the remote address, and the methods that sshd completed before PAM.
extension Login {
  /// Nil for a local login, a host name, or a service that may report a name.
  var remoteAddress: NetworkAddress? {
    guard HostNameService.named(transaction.service) == nil else { return nil }
    return NetworkAddress(transaction.remoteHost)
  }

  /// Whether sshd reports a method of `list` (sshd_config(5), ExposeAuthInfo), one a line in the PAM environment. No
  /// other service is trusted to set this variable.
  func hasPassed(anyOf list: Span<UInt8>) -> Bool {
    guard transaction.service.isEqual(to: "sshd") else { return false }
    let passed = transaction.environment("SSH_AUTH_INFO_0")
    var start = 0
    while start < passed.count {
      let end = passed.firstIndex(of: UInt8(ascii: "\n"), from: start) ?? passed.count
      let line = passed.slice(from: start, to: end)
      let method = line.slice(from: 0, to: line.firstIndex(of: UInt8(ascii: " ")) ?? line.count)
      var words = ListWords()
      while let word = words.next(in: list) {
        if method.count > 0, word.isEqualInConstantTime(to: method) { return true }
      }
      start = end &+ 1
    }
    return false
  }
}
