public import FixedMemory
public import SystemFiles

/// A configuration error.
public struct PolicyProblem: Error {
  /// The end of a sentence.
  public let problem: Literal

  // The argument, or the name in the line; truncated.
  private var letters = InlineArray<95, UInt8>(repeating: 0)
  private var letterCount = 0

  /// False for an argument.
  public let isInFile: Bool

  /// From 1; 0 for an argument or the whole file.
  public let line: UInt32

  /// Of the failed system call, if any.
  public let error: Errno?

  /// In an argument (`line` 0) or a line of the file.
  @inline(never)
  package init(_ problem: Literal, _ word: Span<UInt8>, line: UInt32) {
    self.problem = problem
    var indices = Counter(to: letters.count)
    while let index = indices.next(), let letter = word.byte(at: index) {
      // SAFETY: the index is in bounds.
      unsafe letters[unchecked: index] = letter
      letterCount = index &+ 1
    }
    self.line = line
    isInFile = line > 0
    error = nil
  }

  /// In the whole file.
  @inline(never)
  package init(inFile problem: Literal, error: Errno? = nil) {
    self.problem = problem
    self.error = error
    line = 0
    isInFile = true
  }

  /// For the log: `argument "windows=3": there is no such option` or `/etc/security/twofactor.conf, line 3, "windows":
  /// there is no such option`.
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

  /// The argument, or the name in the line; truncated.
  public func appendWord(to text: inout ByteText) {
    var indices = Counter(to: letterCount)
    while let index = indices.next() {
      // SAFETY: the index is in bounds.
      text.append(unsafe letters[unchecked: index])
    }
  }
}
