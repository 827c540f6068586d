public import FixedMemory
public import SystemFiles

/// Why the configuration is refused. What cannot be understood is never guessed.
public struct PolicyProblem: Error {
  /// What is wrong.
  public let problem: Literal

  /// The argument, or the word of the file, that it is about; of a long one the beginning, and nothing for the file
  /// itself.
  private var letters = InlineArray<95, UInt8>(repeating: 0)
  private var letterCount = 0

  /// Whether it is about `twofactor.conf` or what stands in it.
  public let isInFile: Bool

  /// The line of the file, counted from 1; 0 for an argument or the file itself.
  public let line: UInt32

  /// The error of the system call that failed, if one did.
  public let error: Errno?

  /// A problem with an argument, or with a word of a line.
  @inline(never)
  init(_ problem: Literal, _ word: Span<UInt8>, line: UInt32) {
    self.problem = problem
    var indices = Counter(to: letters.count)
    while let index = indices.next(), let letter = word.byte(at: index) {
      // SAFETY: the index is below the length of the array.
      unsafe letters[unchecked: index] = letter
      letterCount = index &+ 1
    }
    self.line = line
    isInFile = line > 0
    error = nil
  }

  /// A problem with the file as a whole.
  @inline(never)
  init(inFile problem: Literal, error: Errno? = nil) {
    self.problem = problem
    self.error = error
    line = 0
    isInFile = true
  }

  /// Adds a description for the log, as `argument "windows=3": there is no such option` or
  /// `/etc/security/twofactor.conf, line 3, "windows": there is no such option`.
  ///
  /// - Parameters:
  ///   - text: Where it is added.
  ///   - path: The path of the file.
  public func describe(into text: inout ByteText, path: Span<UInt8>) {
    if !isInFile {
      text.append("argument \"")
      appendWord(to: &text)
      text.append("\"")
    } else {
      text.append(path)
      if line > 0 {
        text.append(", line ")
        text.append(decimal: UInt64(line))
        text.append(", \"")
        appendWord(to: &text)
        text.append("\"")
      }
    }
    text.append(": ")
    text.append(problem)
    if let error {
      text.append(": ")
      error.describe(into: &text)
    }
  }

  /// Adds the argument, or the word of the file, that it is about; of a long one the beginning.
  public func appendWord(to text: inout ByteText) {
    var indices = Counter(to: letterCount)
    while let index = indices.next() {
      // SAFETY: no more letters are counted than there are.
      text.append(unsafe letters[unchecked: index])
    }
  }
}
