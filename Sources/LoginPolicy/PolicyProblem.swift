internal import CSystem
public import FixedMemory

/// Why the configuration is refused. What cannot be understood is never guessed.
public struct PolicyProblem: Error {
  /// What is wrong.
  public let problem: Literal

  /// The argument, or the word of the file, that it is about; empty for the file itself.
  public private(set) var word = ByteText<96>()

  /// The file; empty for an argument.
  public private(set) var file = ByteText<256>()

  /// The line of the file, counted from 1; 0 for an argument or the file itself.
  public private(set) var line: UInt32 = 0

  /// The system's error number (errno(3)); 0 where it named none.
  public private(set) var error: Int32 = 0

  /// A problem with an argument, or with a word of a line.
  init(_ problem: Literal, _ word: Span<UInt8>, file: Span<UInt8>, line: UInt32) {
    self.problem = problem
    self.word.append(word)
    self.file.append(file)
    self.line = line
  }

  /// A problem with a file as a whole.
  init(_ problem: Literal, file: Span<UInt8>, error: Int32 = 0) {
    self.problem = problem
    self.file.append(file)
    self.error = error
  }

  /// Adds a description for the log, as `argument "windows=3": there is no such option` or
  /// `/etc/security/twofactor.conf, line 3, "windows": there is no such option`.
  public func describe<let capacity: Int>(into text: inout ByteText<capacity>) {
    if file.count == 0 {
      text.append("argument \"")
      text.append(word.bytes)
      text.append("\"")
    } else {
      text.append(file.bytes)
      if line > 0 {
        text.append(", line ")
        text.append(decimal: UInt64(line))
        text.append(", \"")
        text.append(word.bytes)
        text.append("\"")
      }
    }
    text.append(": ")
    text.append(problem)
    if error != 0 {
      text.append(": ")
      unsafe text.append(cString: csystem_error_text(error))
    }
  }
}
