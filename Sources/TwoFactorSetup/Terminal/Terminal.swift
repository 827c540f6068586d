import CSetup
import FixedMemory
import Glibc
import HostAccess
import SystemFiles

/// Questions to the user and text for the user. The rules:
///
/// - Each question reads one line of standard input. At end of file the command fails and changes nothing.
/// - Results go to standard output. With `--json` they are one object, and other text goes to standard error.
/// - Questions go to the stream of that other text; to standard error if only standard input is a terminal.
/// - Passwords are typed without echo. An answer, Ctrl-C, Ctrl-Z and a hang-up restore the echo.
/// - Cursor control requires a terminal that supports it; colors require that `NO_COLOR` is unset.
/// - Errors are `twofactor: …`, lower case, no full stop; then a `hint: …` line if the user can do something.
/// - In a login, ``LoginDialogue`` sends all text and all questions to the module.
/// - Nothing secret is asked if ssh(1) would show it as it is typed: ``requireAnswers()``.
/// - With `TERM=dumb` there are no control sequences, and lists have one column: ``hasOneColumn``.
struct Terminal {
  let page: OutputStream
  let questions: OutputStream
  let isInteractive: Bool
  /// Nil unless the command runs in a login.
  let dialogue: LoginDialogue?

  /// False if standard output is a terminal that receives the output of `--json`.
  var canBeCovered: Bool {
    isInteractive && qrScreen.hasCursorControl
      && (page.descriptor == STDOUT_FILENO || !OutputStream.standardOutput.isTerminal)
  }

  private let input = STDIN_FILENO
  private let wantsJSON: Bool
  private let answers = AwaitedAnswers()

  /// In bytes; PAM_MAX_RESP_SIZE.
  static let longestAnswer = 512

  /// In bytes: the longest line of a terminal (termios(3), canonical mode). An export of several accounts is one line.
  static let longestLine = 4095

  init(json: Bool) {
    isInteractive = isatty(STDIN_FILENO) == 1
    page = json ? .standardError : .standardOutput
    questions = isInteractive && !page.isTerminal ? .standardError : page
    dialogue = nil
    wantsJSON = json
  }

  init(login dialogue: LoginDialogue) {
    isInteractive = false
    page = .standardOutput
    questions = .standardOutput
    self.dialogue = dialogue
    wantsJSON = false
  }

  func show(_ text: String) throws {
    if let dialogue { try dialogue.say(text) } else { try page.write(text) }
  }

  /// Whether lists have one column: a screen reader or a simple terminal reads one line at a time.
  var hasOneColumn: Bool { page.isTerminal && !qrScreen.hasCursorControl }

  /// A table for this terminal.
  func text(of table: TextTable) -> String {
    hasOneColumn ? table.records : table.text(columns: pageSize?.columns)
  }

  /// Shows a text that is no output of the command.
  func remark(_ text: String) throws {
    if let dialogue { try dialogue.say(text) } else { try OutputStream.standardError.write(text) }
  }

  /// Throws ``ConversationEnd`` if the module closed the connection. Call it immediately before the change.
  func requireUser() throws {
    if dialogue != nil, csetup_has_peer(input) == 0 { throw ConversationEnd() }
  }

  /// Asks for one line of up to `longest` bytes, and returns it without its line ending. `endIsEmpty` allows the end of
  /// input that is no terminal.
  func ask(
    _ question: String, echo: Bool = true, longest: Int = Self.longestAnswer, below page: CoveringPage? = nil,
    endIsEmpty: Bool = false
  ) throws -> SecretBuffer {
    if let dialogue { return try ask(question, echo: echo, through: dialogue) }
    try requireAnswers()
    let interruptions = try Interruptions(andResizing: page != nil)
    while true {
      try page?.show()
      let isShown = page?.hasQuestion ?? true
      let reading: Reading
      do {
        let silence = echo && isShown || !isInteractive ? nil : try EchoOff(input)
        defer { silence?.restore() }
        if isShown { try questions.write(question) }
        reading = readLine(interruptions, longest: longest)
      }
      switch consume reading {
      case .line(let line):
        if isShown, !isInteractive || !echo { try questions.write("\n") }
        return line
      case .tooLong:
        throw SetupError(.refused, "answer too long")
      case .end:
        try questions.write("\n")
        if endIsEmpty, !isInteractive, let empty = SecretBuffer(capacity: 0) { return empty }
        throw Self.endOfInput
      case .failed(let error):
        throw SetupError(.inputOutput, "cannot read standard input: \(error.text)")
      case .interrupted(SIGWINCH):
        // Redrawing erases the partial answer from the screen, so discard it.
        tcflush(input, TCIFLUSH)
      case .interrupted(let signal):
        if let page { page.hide() } else { try questions.write("\n") }
        guard signal == SIGTSTP else { throw Interruption(signal: signal) }
        Interruptions.deliver(signal)
      }
    }
  }

  static let endOfInput = SetupError(.refused, "end of input at a question, nothing was changed")

  /// Throws in a session of sshd(8) without a terminal, unless answers arrive on standard input or a program uses
  /// `--json`: the user's own terminal would show a password. Call it before the first question, and before showing a
  /// secret. Later calls do nothing, because a program may compute the second answer.
  func requireAnswers() throws {
    guard !isInteractive, dialogue == nil, !wantsJSON, !answers.areExpected else { return }
    answers.areExpected = true
    guard Self.isRemoteWithoutTerminal, !input.isReadable(within: AwaitedAnswers.longestWait) else { return }
    let command = Invocation.text()
    throw SetupError(
      .refused, "there is no terminal, so a password or code would be visible as you type it",
      hint: "ssh -t HOST " + (command.contains("'") ? "\"\(command)\"" : command))
  }

  private static var isRemoteWithoutTerminal: Bool {
    // The variables decide only about this refusal.
    guard environment("SSH_CONNECTION") != nil, environment("SSH_TTY") == nil else { return false }
    // SAFETY: the path is NUL-terminated.
    let terminal = unsafe open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
    if terminal >= 0 { close(terminal) }
    return terminal < 0
  }

  private func ask(_ question: String, echo: Bool, through dialogue: LoginDialogue) throws -> SecretBuffer {
    let interruptions = try Interruptions()
    try dialogue.ask(question, echo: echo)
    while true {
      switch readLine(interruptions) {
      case .line(let line): return line
      case .interrupted(let signal):
        guard signal == SIGTSTP else { throw Interruption(signal: signal) }
        Interruptions.deliver(signal)
      default: throw ConversationEnd()
      }
    }
  }

  /// Stops a background command (SIGTTOU) until it is in the foreground.
  func waitForForeground() {
    var mode = termios()
    // SAFETY: both calls access one termios.
    guard unsafe tcgetattr(input, &mode) == 0 else { return }
    unsafe tcsetattr(input, TCSADRAIN, &mode)
  }

  /// An empty answer means no. After an unclear answer, asks again: at a terminal always, in a login up to
  /// ``LoginDialogue/tries`` times in all, otherwise never. The last unclear answer means no.
  func confirm(_ question: String) throws -> Bool {
    var tries = dialogue != nil ? LoginDialogue.tries : isInteractive ? Int.max : 1
    while true {
      let answer = try ask(question + " [y/N] ").text.lowercased()
      switch answer {
      case "y", "yes": return true
      case "", "n", "no": return false
      default:
        tries -= 1
        guard tries > 0 else { return false }
        let correction = "Please answer yes or no.\n"
        if let dialogue { try dialogue.say(correction) } else { try questions.write(correction) }
      }
    }
  }

  private enum Reading: ~Copyable {
    case line(SecretBuffer)
    case tooLong
    case end
    case failed(Errno)
    case interrupted(Int32)
  }

  /// Reads byte by byte: the rest of the input belongs to the next question. Truncates a long reply of a login.
  private func readLine(_ interruptions: borrowing Interruptions, longest: Int = Self.longestAnswer) -> Reading {
    guard var line = SecretBuffer(capacity: longest) else {
      return .failed(Errno(rawValue: ENOMEM))
    }
    var fits = true
    var byte: UInt8 = 0
    while true {
      var waiting = [
        pollfd(fd: interruptions.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: input, events: Int16(POLLIN), revents: 0),
      ]
      // SAFETY: poll(2) gets the array's count, read(2) one byte.
      if unsafe poll(&waiting, nfds_t(waiting.count), -1) < 0 {
        if Errno.current == .interrupted { continue }
        return .failed(.current)
      }
      if waiting[0].revents != 0, let signal = interruptions.next() { return .interrupted(signal) }
      if waiting[1].revents == 0 { continue }
      let count = unsafe read(input, &byte, 1)
      if count < 0 {
        if Errno.current == .interrupted { continue }
        // EIO: the terminal was hung up.
        return isInteractive && Errno.current.rawValue == EIO ? .end : .failed(.current)
      }
      if count == 0, line.count == 0 || dialogue != nil { return .end }
      if count == 0 || byte == UInt8(ascii: "\n") {
        return fits || dialogue != nil ? .line(line.withoutCarriageReturn()) : .tooLong
      }
      fits = line.append(byte) && fits
    }
  }
}

private final class AwaitedAnswers {
  /// In milliseconds. ssh(1) sends input together with the command.
  static let longestWait: Int32 = 3000

  var areExpected = false
}

extension Int32 {
  /// Whether data, or the end, can be read from the descriptor within this many milliseconds.
  fileprivate func isReadable(within timeout: Int32) -> Bool {
    var entry = pollfd(fd: self, events: Int16(POLLIN), revents: 0)
    // SAFETY: poll(2) gets one entry.
    return unsafe poll(&entry, 1, timeout) != 0
  }
}

private struct EchoOff {
  let descriptor: Int32
  let before: termios

  init(_ descriptor: Int32) throws {
    self.descriptor = descriptor
    var mode = termios()
    // SAFETY: both calls access one termios.
    var done = unsafe tcgetattr(descriptor, &mode) == 0
    before = mode
    mode.c_lflag &= ~tcflag_t(ECHO | ECHOE | ECHOK | ECHONL)
    // Discard input typed ahead, which the screen showed.
    done = unsafe done && tcsetattr(descriptor, TCSAFLUSH, &mode) == 0
    if !done { throw SetupError(.inputOutput, "cannot disable the echo: \(Errno.current.text)") }
  }

  func restore() {
    var mode = before
    // SAFETY: tcsetattr(3) reads one termios.
    unsafe tcsetattr(descriptor, TCSADRAIN, &mode)
  }
}

extension SecretBuffer {
  /// Not for secret answers.
  var text: String {
    var bytes: [UInt8] = []
    for index in 0..<count { bytes.append(self.bytes[index]) }
    return String(decoding: bytes, as: UTF8.self)
  }

  fileprivate consuming func withoutCarriageReturn() -> SecretBuffer {
    guard count > 0, bytes[count - 1] == UInt8(ascii: "\r"), var copy = SecretBuffer(capacity: capacity),
      copy.append(bytes.slice(from: 0, to: count - 1))
    else { return self }
    return copy
  }
}
