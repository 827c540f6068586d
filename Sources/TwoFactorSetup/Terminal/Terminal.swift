import FixedMemory
import Glibc

/// How the command speaks with the person who runs it. The rules:
///
/// - Answers are read from standard input and from nowhere else. Where that is not a terminal, each question
///   takes one line of it, in the order in which the questions are asked; its end is the end of the command,
///   with nothing changed.
/// - Results go to standard output. With `--json` that is one object, and what a person reads goes to
///   standard error.
/// - Questions go where what a person reads goes, so that both make one transcript; where standard input is a
///   terminal and standard output is none, they go to standard error.
/// - Passwords are typed without echo. Echo comes back however the question ends: by an answer, Ctrl-C,
///   Ctrl-Z, a hang-up.
/// - Cursor control is used only on a terminal that has it, and colours only where `NO_COLOR` is not set. On
///   any other, and where there is none, what is written is a transcript from top to bottom.
/// - Errors are `twofactor: …`, lower case, no full stop, with a `hint: …` line where there is something to
///   do.
struct Terminal {
  /// Where what a person reads is written.
  let page: OutputStream
  /// Where questions are written.
  let questions: OutputStream
  /// Whether a person sits at standard input.
  let isInteractive: Bool

  /// Whether a page may cover the terminal and be taken away again: there is a person to see it, the terminal
  /// can do it, and no object of `--json` is written to the same one.
  var canBeCovered: Bool {
    isInteractive && qrScreen.hasCursorControl
      && (page.descriptor == STDOUT_FILENO || !OutputStream.standardOutput.isTerminal)
  }

  private let input = STDIN_FILENO

  /// The longest answer in bytes. PAM_MAX_RESP_SIZE is 512.
  static let longestAnswer = 512

  /// A terminal for a command whose results do or do not belong to a program.
  init(json: Bool) {
    isInteractive = isatty(STDIN_FILENO) == 1
    page = json ? .standardError : .standardOutput
    questions = isInteractive && !page.isTerminal ? .standardError : page
  }

  /// Asks for one line.
  ///
  /// - Parameters:
  ///   - question: What is shown, with the blank after it.
  ///   - echo: Whether what is typed is seen.
  ///   - page: What stands on the screen above it, or nil for what was written there before.
  /// - Returns: The line without its end.
  /// - Throws: ``SetupError`` at the end of the input, ``Interruption`` for a signal.
  func ask(_ question: String, echo: Bool = true, below page: CoveringPage? = nil) throws -> SecretBuffer {
    let interruptions = try Interruptions(andResizing: page != nil)
    while true {
      try page?.show()
      let reading: Reading
      do {
        let silence = echo || !isInteractive ? nil : try EchoOff(input)
        // Also where the question cannot be written.
        defer { silence?.restore() }
        try questions.write(question)
        reading = readLine(interruptions)
      }
      switch consume reading {
      case .line(let line):
        if !isInteractive || !echo { try questions.write("\n") }
        return line
      case .tooLong:
        throw SetupError(.refused, "the answer is too long")
      case .end:
        try questions.write("\n")
        throw SetupError(.refused, "the input ended at a question, nothing was changed")
      case .failed(let error):
        throw SetupError(.inputOutput, "cannot read standard input: \(error.text)")
      case .interrupted(SIGWINCH):
        // What was typed so far is on no screen any more, so it is taken back.
        tcflush(input, TCIFLUSH)
      case .interrupted(let signal):
        if let page { page.hide() } else { try questions.write("\n") }
        guard signal == SIGTSTP else { throw Interruption(signal: signal) }
        Interruptions.deliver(signal)
      }
    }
  }

  /// Stops in the background, as whoever sets a terminal is stopped (SIGTTOU), until the shell brings the command to
  /// the fore: the screen is the shell's meanwhile.
  func waitForForeground() {
    var mode = termios()
    guard unsafe tcgetattr(input, &mode) == 0 else { return }
    unsafe tcsetattr(input, TCSADRAIN, &mode)
  }

  /// Asks a question that is answered by yes or no; no answer is no.
  func confirm(_ question: String) throws -> Bool {
    while true {
      let answer = try ask(question + " [y/N] ").text.lowercased()
      switch answer {
      case "y", "yes": return true
      case "", "n", "no": return false
      default:
        guard isInteractive else { return false }
        try questions.write("Please answer yes or no.\n")
      }
    }
  }

  private enum Reading: ~Copyable {
    case line(SecretBuffer)
    case tooLong
    case end
    case failed(SystemError)
    case interrupted(Int32)
  }

  /// Reads up to the end of a line, byte by byte: what follows belongs to the next question.
  private func readLine(_ interruptions: borrowing Interruptions) -> Reading {
    guard var line = SecretBuffer(capacity: Self.longestAnswer) else {
      return .failed(SystemError(rawValue: ENOMEM))
    }
    var fits = true
    var byte: UInt8 = 0
    while true {
      var waiting = [
        pollfd(fd: interruptions.descriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: input, events: Int16(POLLIN), revents: 0),
      ]
      if unsafe poll(&waiting, nfds_t(waiting.count), -1) < 0 {
        if SystemError.current == .interrupted { continue }
        return .failed(.current)
      }
      if waiting[0].revents != 0, let signal = interruptions.next() { return .interrupted(signal) }
      if waiting[1].revents == 0 { continue }
      let count = unsafe read(input, &byte, 1)
      if count < 0 {
        if SystemError.current == .interrupted { continue }
        // A terminal that was hung up answers EIO.
        return isInteractive && SystemError.current.rawValue == EIO ? .end : .failed(.current)
      }
      if count == 0, line.count == 0 { return .end }
      if count == 0 || byte == UInt8(ascii: "\n") {
        return fits ? .line(line.withoutCarriageReturn()) : .tooLong
      }
      fits = line.append(byte) && fits
    }
  }
}

/// Echo switched off at a terminal until it is restored.
private struct EchoOff {
  let descriptor: Int32
  let before: termios

  init(_ descriptor: Int32) throws {
    self.descriptor = descriptor
    var mode = termios()
    var done = unsafe tcgetattr(descriptor, &mode) == 0
    before = mode
    mode.c_lflag &= ~tcflag_t(ECHO | ECHOE | ECHOK | ECHONL)
    // What was typed ahead was seen on the screen: it is not taken for a password.
    done = unsafe done && tcsetattr(descriptor, TCSAFLUSH, &mode) == 0
    if !done { throw SetupError(.inputOutput, "cannot switch off the echo: \(SystemError.current.text)") }
  }

  func restore() {
    var mode = before
    unsafe tcsetattr(descriptor, TCSADRAIN, &mode)
  }
}

extension SecretBuffer {
  /// The bytes as text, for what is not secret.
  var text: String {
    var bytes: [UInt8] = []
    for index in 0..<count { bytes.append(self.bytes[index]) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The line without the carriage return that some programs end it with.
  fileprivate consuming func withoutCarriageReturn() -> SecretBuffer {
    guard count > 0, bytes[count - 1] == UInt8(ascii: "\r"), var copy = SecretBuffer(capacity: capacity),
      copy.append(bytes.slice(from: 0, to: count - 1))
    else { return self }
    return copy
  }
}
