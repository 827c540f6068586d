internal import Enrollment
internal import FixedMemory

extension Outcome {
  /// How much the line matters.
  var priority: LogPriority {
    switch self {
    case .accepted, .exempt, .exemptUntil: .info
    case .denied(.failure), .denied(.configuration), .denied(.outOfMemory): .error
    case .denied: .notice
    }
  }

  /// Adds the line of the log: one for each attempt, the same fields always in the same order. What somebody else has
  /// chosen is escaped.
  ///
  /// - Parameters:
  ///   - line: Where it is added.
  ///   - user: The name of the user.
  ///   - remoteHost: Where the login comes from.
  ///   - words: What belongs to the outcome.
  func appendLogLine(
    to line: inout ByteText, user: Span<UInt8>, remoteHost: Span<UInt8>, words: borrowing Words
  ) {
    switch self {
    case .accepted, .exempt, .exemptUntil: line.append("accepted user=")
    case .denied: line.append("denied user=")
    }
    // Cut where so much was written, so that nobody's name pushes the reason out of the line.
    line.append(escaped: user, upTo: 256)
    line.append(" rhost=")
    line.append(escaped: remoteHost, upTo: 256)
    switch self {
    case .accepted(let method): method.append(to: &line, words)
    case .exempt, .exemptUntil: line.append(" method=exempt")
    case .denied(let denial): denial.append(to: &line, words)
    }
  }
}

extension Outcome.Method {
  fileprivate func append(to line: inout ByteText, _ words: borrowing Outcome.Words) {
    switch self {
    case .totp:
      line.append(" method=totp device=")
      line.append(escaped: words.bytes)
    case .hotp:
      line.append(" method=hotp device=")
      line.append(escaped: words.bytes)
    case .backupCode(let left):
      line.append(" method=backup-code backup_codes_left=")
      line.append(decimal: Int64(left))
    case .grace: line.append(" method=grace")
    }
  }
}

extension Outcome.Denial {
  fileprivate func append(to line: inout ByteText, _ words: borrowing Outcome.Words) {
    line.append(" reason=")
    switch self {
    case .wrongCode(let failures):
      line.append("wrong-code failures=")
      line.append(decimal: UInt64(failures))
    case .reusedCode: line.append("reused-code")
    case .outsideWindow(let steps):
      line.append("outside-window offset_steps=")
      line.append(decimal: steps)
    case .throttled(let seconds):
      line.append("throttled retry_after=")
      line.append(decimal: seconds)
    case .locked: line.append("locked")
    case .notEnrolled: line.append("not-enrolled")
    case .unknownUser: line.append("unknown-user")
    case .noReply, .noConversation: line.append("no-reply")
    case .malformedReply: line.append("malformed-reply")
    case .failure(let failure):
      // SAFETY: nothing takes the text out of the closure.
      unsafe ByteText.onStack(capacity: Outcome.wordsCapacity) { detail in
        failure.describe(into: &detail)
        line.append(failure.reason.name, detail: detail)
      }
    case .configuration: line.append("configuration", detail: words)
    case .outOfMemory where words.count == 0: line.append("io-error detail=\"out of memory\"")
    case .outOfMemory: line.append("io-error", detail: words)
    }
  }
}

extension EnrollmentFailure.Reason {
  /// The reason in the log.
  fileprivate var name: Literal {
    switch self {
    case .insecure: "insecure-file"
    case .corrupt: "corrupt-file"
    case .io: "io-error"
    case .configuration: "configuration"
    case .absent, .gone: "not-enrolled"
    }
  }
}

extension ByteText {
  /// Adds a value that somebody else has chosen: printable ASCII as it is, every other byte, the blank, the quote
  /// and the backslash as `\xHH`; `-` where there is nothing. It cannot forge a field, a line or an escape
  /// sequence of a terminal.
  ///
  /// - Parameters:
  ///   - bytes: The value.
  ///   - room: How many characters are written at most; one escape more may end it.
  mutating func append(escaped bytes: Span<UInt8>, upTo room: Int = 1024) {
    guard bytes.count > 0 else {
      append("-")
      return
    }
    let end = count &+ room
    var (start, index) = (0, 0)
    while count &+ (index &- start) < end, let byte = bytes.byte(at: index) {
      if !Self.isPlain(byte) {
        append(bytes.slice(from: start, to: index))
        append(escaped: byte)
        start = index &+ 1
      }
      index &+= 1
    }
    append(bytes.slice(from: start, to: index))
  }

  fileprivate mutating func append(_ reason: Literal, detail: borrowing Outcome.Words) {
    append(reason)
    append(" detail=\"")
    var indices = Counter(to: detail.count)
    while let index = indices.next() {
      let byte = detail.bytes.byte(at: index) ?? 0
      if Self.isPlain(byte) || byte == 0x20 { append(byte) } else { append(escaped: byte) }
    }
    append("\"")
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "\"")
  }

  private mutating func append(escaped byte: UInt8) {
    append("\\x")
    append(hexDigit: byte &>> 4)
    append(hexDigit: byte & 15)
  }

  private mutating func append(hexDigit value: UInt8) {
    append(value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ (value &- 10))
  }
}
