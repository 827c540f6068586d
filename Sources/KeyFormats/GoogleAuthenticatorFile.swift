import Enrollment
import FixedMemory
import OneTimePassword

/// A `.google_authenticator` file: the key in the first line, then scratch codes, and options after `" `. Source:
/// `FILEFORMAT` of google-authenticator-libpam, and of its fork google-authenticator-libpam-hardened, which adds
/// `DIGITS` and `ALGORITHM`; tests with the module.
package struct GoogleAuthenticatorFile {
  package let key: SharedKey
  /// HOTP if the file contains a counter.
  package private(set) var kind = Device.Kind.totp(period: 30)
  /// From `DIGITS`.
  package private(set) var digits = CodeDigits.six
  /// From `ALGORITHM`. The hardened fork reads it for time-based codes only.
  package private(set) var algorithm = HashAlgorithm.sha1
  /// Whether the file contains `ALGORITHM` and a counter.
  package private(set) var ignoresAlgorithm = false
  /// From `DISALLOW_REUSE`.
  package private(set) var usedSteps: [UInt64] = []
  /// Eight digits each.
  package private(set) var scratchCodes: [String] = []
  /// From `WINDOW_SIZE`: how many codes are valid at a time.
  package private(set) var windowSize: Int?
  /// From `RATE_LIMIT`: the logins allowed in so many seconds.
  package private(set) var rateLimit: (logins: Int, seconds: Int)?
  /// From `TIME_SKEW`: how many time steps the phone's clock is ahead; 0 for HOTP.
  package private(set) var timeSkew: Int64 = 0
  /// The other options, without repetition; nil stands for a malformed one.
  package private(set) var otherOptions: [String?] = []

  private struct Options {
    var hasClock = false
    var step: Int64 = 30
    var counter: UInt64 = 0
    var algorithm = HashAlgorithm.sha1
    var skew: Int64 = 0
    var seen: Set<String> = []
  }

  /// - Throws: A problem if google-authenticator's module would reject the file, or no login here could use it.
  package init(parsing text: Span<UInt8>) throws(FormatProblem) {
    guard text.firstIndex(of: 0) == nil else { throw FormatProblem("it contains a NUL byte") }
    var lines = TextLines()
    guard let first = lines.next(in: text) else { throw FormatProblem("it is empty") }
    do throws(FormatProblem) {
      key = try SharedKey(base32: text.slice(first.range), readsDigitsAsLetters: true)
    } catch {
      throw FormatProblem(line: first.number, error.message, hint: error.hint)
    }
    var options = Options()
    while let line = lines.next(in: text) {
      do throws(FormatProblem) {
        try read(line.words(in: text), line, of: text, &options)
      } catch {
        throw FormatProblem(line: line.number, error.message, hint: error.hint)
      }
    }
    try decideKind(options)
  }

  /// A counter overrides TOTP_AUTH. Without either, google-authenticator's module accepts only scratch codes.
  private mutating func decideKind(_ options: Options) throws(FormatProblem) {
    if options.counter > 0 {
      kind = .hotp(counter: options.counter)
      ignoresAlgorithm = options.algorithm != .sha1
    } else if options.hasClock {
      guard TimeStep.periods.contains(options.step) else {
        throw FormatProblem("a period of \(options.step) seconds is not supported; the minimum is 15")
      }
      kind = .totp(period: options.step)
      algorithm = options.algorithm
      timeSkew = options.skew
    } else {
      throw FormatProblem(
        "it contains neither TOTP_AUTH nor HOTP_COUNTER, so app codes are off",
        hint: #"for time-based codes, add this line to a copy of the file: " TOTP_AUTH"#)
    }
  }

  private mutating func read(
    _ words: [Range<Int>], _ line: TextLine, of text: Span<UInt8>, _ options: inout Options
  ) throws(FormatProblem) {
    guard let first = words.first else { return }
    // Before an option, google-authenticator's modules accept one blank only.
    guard text[line.range.lowerBound] == UInt8(ascii: "\"") else { return try readScratchCode(words, of: text) }
    guard first.count == 1, words.count > 1, words[1].lowerBound == first.lowerBound + 2,
      let name = text.text(words[1]), Self.isName(name)
    else {
      if !otherOptions.contains(nil) { otherOptions.append(nil) }
      return
    }
    let values = Array(words.dropFirst(2))
    // Of repeated options, google-authenticator's module uses the first; DISALLOW_REUSE accumulates.
    guard options.seen.insert(name).inserted || name == "DISALLOW_REUSE" else { return }
    switch name {
    case "TOTP_AUTH": options.hasClock = true
    case "STEP_SIZE": options.step = Int64(try Self.number(values, 0, 1...60, of: text, name))
    case "HOTP_COUNTER": options.counter = try Self.counter(values, of: text)
    case "WINDOW_SIZE": windowSize = Int(try Self.number(values, 0, 1...100, of: text, name))
    case "RATE_LIMIT":
      rateLimit = (
        Int(try Self.number(values, 0, 1...100, of: text, name)),
        Int(try Self.number(values, 1, 1...3600, of: text, name))
      )
    case "DISALLOW_REUSE":
      for index in values.indices {
        usedSteps.append(try Self.number(values, index, 0...UInt64(UInt32.max), of: text, name))
      }
    case "TIME_SKEW": options.skew = try Self.skew(values, of: text)
    case "DIGITS": digits = try Self.digits(values, of: text)
    case "ALGORITHM": options.algorithm = try Self.algorithm(values, of: text)
    default:
      guard !Self.changesCodes(name) else {
        throw FormatProblem("the option \(name) may change the codes, and is unknown")
      }
      otherOptions.append(name)
    }
  }

  private mutating func readScratchCode(_ words: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) {
    guard words.count == 1, let code = text.text(words[0]), code.utf8.count == 8,
      code.utf8.allSatisfy({ $0.decimalDigit != nil }), code.first != "0"
    else { throw FormatProblem("it is neither an option nor a scratch code of eight digits") }
    if !scratchCodes.contains(code) { scratchCodes.append(code) }
  }

  private static func isName(_ name: String) -> Bool {
    name.utf8.count <= 32
      && name.utf8.allSatisfy {
        $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") || $0.decimalDigit != nil || $0 == UInt8(ascii: "_")
      }
  }

  private static func number(
    _ values: [Range<Int>], _ index: Int, _ range: ClosedRange<UInt64>, of text: Span<UInt8>, _ name: String
  ) throws(FormatProblem) -> UInt64 {
    guard values.indices.contains(index), let number = text.text(values[index]).flatMap(UInt64.init),
      range.contains(number)
    else { throw FormatProblem("\(name) needs numbers from \(range.lowerBound) to \(range.upperBound)") }
    return number
  }

  private static func counter(_ values: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) -> UInt64 {
    try number(values, 0, 0...UInt64(Int64.max), of: text, "HOTP_COUNTER")
  }

  private static func skew(_ values: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) -> Int64 {
    let range = Device.clockOffsets
    guard let number = values.first.flatMap({ text.text($0) }).flatMap(Int64.init), range.contains(number) else {
      throw FormatProblem(
        "TIME_SKEW needs a number from \(range.lowerBound) to \(range.upperBound)",
        hint: "set the phone's clock, and delete this line in a copy of the file")
    }
    return number
  }

  private static func digits(_ values: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) -> CodeDigits {
    let number = try number(values, 0, 6...8, of: text, "DIGITS")
    guard let digits = CodeDigits(rawValue: UInt8(number)) else { throw .sevenDigits }
    return digits
  }

  private static func algorithm(
    _ values: [Range<Int>], of text: Span<UInt8>
  ) throws(FormatProblem) -> HashAlgorithm {
    let name = values.count == 1 ? text.text(values[0])?.lowercased() : nil
    switch name {
    case "sha1": return .sha1
    case "sha256": return .sha256
    case "sha512": return .sha512
    default: throw FormatProblem("ALGORITHM must be sha1, sha256 or sha512")
    }
  }

  /// Whether an unknown option may change the codes, by its name.
  private static func changesCodes(_ name: String) -> Bool {
    let parts = [
      "ALGO", "COUNTER", "DIGIT", "ENCOD", "EPOCH", "HASH", "HMAC", "KEY", "LENGTH", "MD5", "OFFSET", "PERIOD", "PIN",
      "SALT", "SECRET", "SHA", "STEP", "TOTP", "HOTP",
    ]
    return parts.contains { name.containsBytes(of: $0) }
  }

  /// `now` is Unix time.
  func entry(now: Int64) -> KeyEntry {
    var entry = KeyEntry(.success(device(now: now)))
    entry.scratchCodes = scratchCodes
    return entry
  }

  /// `now` is Unix time.
  package func device(now: Int64) -> DeviceDraft {
    var device = DeviceDraft(key: key, kind: kind, algorithm: algorithm, digits: digits)
    device.clockOffset = timeSkew
    if case .totp(let period) = kind, let last = usedSteps.max() {
      device.nextStep = last + 1
      device.lastUsedAt = min(now, max(0, Int64(last) - timeSkew) * period)
    }
    return device
  }
}
