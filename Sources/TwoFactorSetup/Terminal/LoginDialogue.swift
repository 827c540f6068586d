import KeyFormats

/// Writes messages and questions of a login to standard output, as lines for `pam_twofactor.so`
/// (`pam/enrollment-protocol.md`).
final class LoginDialogue {
  enum Form: String {
    /// At a terminal.
    case messages
    /// At a terminal whose application shows no messages: questions contain them.
    case questions
    /// Without a terminal. The application may log messages, or show one at a time: questions contain them. No QR code.
    case plain

    /// In bytes.
    var longestQuestion: Int {
      self == .questions ? LoginDialogue.longestLine - "ask-echo \n".utf8.count : LoginDialogue.longestText
    }
  }

  enum Result {
    case enrolled
    case declined
    case failed(String)
  }

  let form: Form

  /// Whether the user sees a code as it is typed.
  var echoesCode = false

  /// Messages that are not sent yet.
  private var waiting: [String] = []

  /// How often a yes/no question is asked.
  static let tries = 3

  init(_ form: Form) { self.form = form }

  func say(_ text: String) throws {
    waiting.append(text)
    if form == .messages { try sendMessages() }
  }

  func ask(_ question: String, echo: Bool) throws {
    let text = Self.question(question, after: waiting, limit: form.longestQuestion)
    waiting = []
    try send([(echo ? "ask-echo " : "ask ") + text])
  }

  /// Sends the waiting messages and the last line. A reason replaces the messages, which may contain secrets.
  func finish(_ result: Result, because reason: String? = nil) throws {
    if let reason { waiting = [reason] }
    try sendMessages()
    switch result {
    case .enrolled: try send(["done enrolled"])
    case .declined: try send(["done declined"])
    case .failed(let problem): try send(["done failed " + Self.pieces(problem.printable)[0]])
    }
  }

  private func sendMessages() throws {
    try send(waiting.flatMap(Self.messages).map { "say " + $0 })
    waiting = []
  }

  private func send(_ lines: [String]) throws {
    try OutputStream.standardOutput.write(lines.map { $0 + "\n" }.joined())
  }
}

/// Texts of the protocol: tabs mean line breaks, and other control characters are escaped.
extension LoginDialogue {
  /// In bytes; PAM_MAX_MSG_SIZE.
  static let longestText = 512

  /// In bytes, with the line feed.
  static let longestLine = 8192

  /// In columns. Greeters do not wrap lines.
  private static let widestLine = 60

  /// Splits a text at line ends into texts of at most ``longestText``. Drops leading and trailing empty lines.
  static func messages(_ text: String) -> [String] {
    var messages: [String] = []
    var message = ""
    for line in lines(of: text) {
      if !message.isEmpty, message.utf8.count + 1 + line.utf8.count > longestText {
        messages.append(message)
        message = ""
      }
      if message.isEmpty { message = line } else { message += "\t" + line }
    }
    return (messages + [message]).map(withoutOuterBreaks).filter { !$0.isEmpty }
  }

  /// A question below the messages. Drops the first messages if the text is longer than `limit`.
  static func question(_ question: String, after messages: [String], limit: Int) -> String {
    let texts = messages.map { withoutOuterBreaks(lines(of: $0).joined(separator: "\t")) } + [question.printable]
    var length = -1
    let kept = texts.reversed().prefix { text in
      length += 1 + text.utf8.count
      return length <= limit
    }
    return kept.reversed().joined(separator: "\t")
  }

  /// Wraps lines, except URIs, which users copy whole.
  private static func lines(of text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { line in
      let line = String(line).printable
      let isTooWide = line.displayWidth > widestLine && !line.hasPrefix("URI: ")
      return (isTooWide ? PageText.wrapped(line, columns: widestLine) : [line]).flatMap(pieces)
    }
  }

  /// Splits a line that is longer than ``longestText``.
  private static func pieces(_ line: String) -> [String] {
    var pieces = [""]
    for scalar in line.unicodeScalars {
      if pieces[pieces.count - 1].utf8.count + UTF8.width(scalar) > longestText { pieces.append("") }
      pieces[pieces.count - 1].unicodeScalars.append(scalar)
    }
    return pieces
  }

  private static func withoutOuterBreaks(_ message: String) -> String {
    var message = message.drop { $0 == "\t" }
    while message.last == "\t" { message.removeLast() }
    return String(message)
  }
}

/// The module closed the connection, so the command ends without a result.
struct ConversationEnd: Error {}
