public import FixedMemory

/// Why a reply is refused; with log fields, PAM status and message.
public enum Refusal: Equatable, Sendable {
  case noReply

  /// Neither six or eight digits nor a backup code.
  case malformedReply

  /// No device has this code. `failures` includes this one.
  case wrongCode(failures: UInt32)

  /// Ten characters that are no backup code. Not counted: they may be an ordinary password, and 50 random bits cannot
  /// be guessed.
  case wrongBackupCode(failures: UInt32)

  /// The device at this index has this code, but `steps` time steps or counters from now; negative for the past.
  case outsideWindow(steps: Int64, device: Int = 0)

  case reusedCode

  case reusedBackupCode

  case throttled(seconds: Int64)

  /// Until a backup code is accepted or root runs `twofactor unlock`.
  case locked

  /// For a new case, also add a message to the setup command's `CodeRefusal`.
  public var consequences: Consequences {
    switch self {
    case .noReply: Consequences("no-reply")
    case .malformedReply: Consequences("malformed-reply")
    case .wrongCode(let failures): Consequences("wrong-code", ("failures", Int64(failures)), counts: true)
    case .wrongBackupCode(let failures): Consequences("wrong-code", ("failures", Int64(failures)))
    case .outsideWindow(let steps, _):
      // Only a late code: a message about an early one would tell a guesser when to type it again.
      Consequences("outside-window", ("offset_steps", steps), message: steps < 0 ? Self.late : nil, counts: true)
    case .reusedCode: Consequences("reused-code", message: "This code was already used. Wait for the next one.")
    case .reusedBackupCode:
      Consequences("reused-code", message: "This backup code was already used. Use another one.")
    case .throttled(let seconds):
      Consequences(
        "throttled", ("retry_after", seconds), status: .tooManyFailures,
        message: "Too many failed codes. Try again in # seconds.")
    case .locked: Consequences("locked", status: .tooManyFailures, message: Self.cannotCheck)
    }
  }

  private static var late: Literal {
    "This code is late. Type a code as soon as it is shown, or ask the administrator for: twofactor device resync"
  }

  /// For errors that only the administrator can fix.
  public static var cannotCheck: Literal {
    "Two-factor authentication could not be checked. Contact the administrator."
  }

  /// A row of this table.
  public struct Consequences {
    /// `reason=` in the log, `reason` in JSON.
    public let reason: Literal

    /// A further log field.
    public let number: (field: Literal, value: Int64)?

    /// The class of PAM status.
    public let status: Status

    /// With `#` for the number; nil if a message would help an attacker.
    public let message: Literal?

    /// Whether it counts toward throttling.
    public let counts: Bool

    fileprivate init(
      _ reason: Literal, _ number: (field: Literal, value: Int64)? = nil, status: Status = .wrong,
      message: Literal? = nil, counts: Bool = false
    ) {
      self.reason = reason
      self.number = number
      self.status = status
      self.message = message
      self.counts = counts
    }

    /// For example `wrong-code failures=3`.
    public func appendLogFields(to line: inout ByteText) {
      line.append(reason)
      guard let number else { return }
      line.append(" ")
      line.append(number.field)
      line.append("=")
      line.append(decimal: number.value)
    }

    /// Appends the message, if any.
    public func appendMessage(to text: inout ByteText) {
      guard let message else { return }
      let place = message.bytes.firstIndex(of: UInt8(ascii: "#")) ?? message.byteCount
      text.append(message.bytes.slice(from: 0, to: place))
      if let number, place < message.byteCount { text.append(decimal: number.value) }
      text.append(message.bytes.slice(from: place &+ 1))
    }
  }

  /// The class of PAM status.
  public enum Status: Equatable, Sendable {
    /// PAM_AUTH_ERR.
    case wrong

    /// PAM_MAXTRIES.
    case tooManyFailures
  }
}
