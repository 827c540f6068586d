internal import Enrollment
public import FixedMemory
internal import Verification

/// Why the configuration is refused. What cannot be understood is never guessed.
public struct PolicyProblem: Error {
  /// What is wrong.
  public let problem: Literal

  /// The argument that it is about.
  public let argument: ByteText<96>

  /// Adds a description for the log, as `argument "windows=3": there is no such option`.
  public func describe<let capacity: Int>(into text: inout ByteText<capacity>) {
    text.append("argument \"")
    text.append(argument.bytes)
    text.append("\": ")
    text.append(problem)
  }
}

/// Reads arguments into a policy.
public struct PolicyParser: Sendable {
  /// The policy so far.
  public private(set) var policy = Policy()

  private var seen: UInt32 = 0

  /// Begins with the policy of a host that says nothing.
  public init() {}

  /// Reads one argument: `NAME` or `NAME=VALUE`.
  ///
  /// - Parameter argument: The argument.
  /// - Throws: What is wrong with it: unknown, malformed, out of range, or given before.
  public mutating func read(_ argument: Span<UInt8>) throws(PolicyProblem) {
    let equals = argument.firstIndex(of: UInt8(ascii: "="))
    guard let option = PolicyOption.named(argument.slice(from: 0, to: equals ?? argument.count)) else {
      throw problem("there is no such option", argument)
    }
    let bit: UInt32 = 1 &<< UInt32(option.rawValue)
    guard seen & bit == 0 else { throw problem("was given before", argument) }
    seen |= bit

    guard let equals else {
      guard option.kind == .flag else { throw problem("needs a value", argument) }
      set(option, flag: true)
      return
    }
    let value = argument.slice(from: equals &+ 1)
    switch option.kind {
    case .flag:
      let isYes = value.isEqual(to: "yes")
      guard isYes || value.isEqual(to: "no") else { throw problem("is neither yes nor no", argument) }
      set(option, flag: isYes)
    case .number(let range):
      guard let number = value.decimal(upTo: range.upperBound), number >= range.lowerBound else {
        throw problem("is not a number in its range", argument)
      }
      set(option, number: number)
    case .text(let lengths):
      guard lengths.contains(value.count) else { throw problem("is too short or too long", argument) }
      guard !value.hasControlCharacters else { throw problem("has control characters", argument) }
      set(option, text: value)
    case .directory:
      guard !value.hasControlCharacters, value.count < 512, EnrollmentPath.isTemplate(value) else {
        throw problem("is not a path that is absolute or begins with ~/ or %h/", argument)
      }
      set(option, text: value)
    }
  }

  private mutating func set(_ option: PolicyOption, flag: Bool) {
    switch option {
    case .nullok: policy.passesUnenrolled = flag
    case .echoCode: policy.echoesCode = flag
    case .backupCodes: policy.limits.acceptsBackupCodes = flag
    case .debug: policy.isDebugging = flag
    case .directory, .prompt, .window, .lookAhead, .maxFailures: break
    }
  }

  private mutating func set(_ option: PolicyOption, number: UInt64) {
    switch option {
    case .window: policy.limits.window = number
    case .lookAhead: policy.limits.lookAhead = number
    case .maxFailures: policy.limits.maximumFailures = UInt32(truncatingIfNeeded: number)
    case .nullok, .echoCode, .backupCodes, .debug, .directory, .prompt: break
    }
  }

  private mutating func set(_ option: PolicyOption, text: Span<UInt8>) {
    switch option {
    case .directory:
      policy.directory.removeAll()
      policy.directory.append(text)
    case .prompt:
      policy.prompt.removeAll()
      policy.prompt.append(text)
    case .nullok, .echoCode, .backupCodes, .debug, .window, .lookAhead, .maxFailures: break
    }
  }

  private func problem(_ problem: Literal, _ argument: Span<UInt8>) -> PolicyProblem {
    var text = ByteText<96>()
    text.append(argument)
    return PolicyProblem(problem: problem, argument: text)
  }
}

extension Span where Element == UInt8 {
  /// Whether there is a control character of ASCII among the bytes.
  var hasControlCharacters: Bool {
    var indices = Counter(to: count)
    while let index = indices.next() {
      guard let byte = byte(at: index), byte >= 0x20, byte != 0x7f else { return true }
    }
    return false
  }
}
