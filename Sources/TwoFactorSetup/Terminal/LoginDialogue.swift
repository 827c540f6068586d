import KeyFormats

/// Messages and questions of a login, as lines on standard output that `pam_twofactor.so` reads
/// (`pam/enrollment-protocol.md`).
struct LoginDialogue {
  enum Result {
    case enrolled
    case declined
    case failed(String)
  }

  /// Whether the user sees a code as it is typed.
  var echoesCode = false

  /// In bytes; PAM_MAX_MSG_SIZE.
  static let longestText = 512

  /// The number of answers to a yes/no question.
  static let tries = 3

  func say(_ text: String) throws {
    try send(Self.messages(text).map { "say " + $0 })
  }

  func ask(_ question: String, echo: Bool) throws {
    try send(Self.messages(question).suffix(1).map { (echo ? "ask-echo " : "ask ") + $0 })
  }

  /// Sends the last line.
  func finish(_ result: Result) throws {
    switch result {
    case .enrolled: try send(["done enrolled"])
    case .declined: try send(["done declined"])
    case .failed(let reason): try send(Self.messages(reason).prefix(1).map { "done failed " + $0 })
    }
  }

  private func send(_ lines: [String]) throws {
    try OutputStream.standardOutput.write(lines.map { $0 + "\n" }.joined())
  }

  /// Splits a text into texts of the protocol: with tabs for line breaks, without other control characters, and none
  /// longer than ``longestText``. Empty lines at either end of a text are dropped.
  static func messages(_ text: String) -> [String] {
    var messages: [String] = []
    var message = ""
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { String($0).printable }
    for line in lines.flatMap(pieces) {
      if !message.isEmpty, message.utf8.count + 1 + line.utf8.count > longestText {
        messages.append(message)
        message = ""
      }
      if message.isEmpty { message = line } else { message += "\t" + line }
    }
    return (messages + [message]).map(withoutFinalBreaks).filter { !$0.isEmpty }
  }

  /// Breaks a long line at blanks, and long words anywhere.
  private static func pieces(_ line: String) -> [String] {
    var pieces: [String] = []
    var rest = line.unicodeScalars[...]
    while String(rest).utf8.count > longestText {
      var end = rest.startIndex
      var length = 0
      for index in rest.indices {
        length += UTF8.width(rest[index])
        if length > longestText { break }
        end = rest.index(after: index)
      }
      let blank = rest[..<end].lastIndex(of: " ")
      let piece = rest[..<(blank ?? end)]
      pieces.append(String(piece))
      rest = blank.map { rest[rest.index(after: $0)...] } ?? rest[end...]
    }
    return pieces + [String(rest)]
  }

  private static func withoutFinalBreaks(_ message: String) -> String {
    var message = message
    while message.last == "\t" { message.removeLast() }
    return message
  }
}

/// The module closed the connection, or the user the session: the command ends without a result.
struct ConversationEnd: Error {}
