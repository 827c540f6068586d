import Enrollment
import FixedMemory
import Glibc
import OneTimePassword

/// One token of a users file of pam_oath.
package struct OATHToken {
  package let kind: Device.Kind
  package let digits: CodeDigits
  package let key: SharedKey
  /// The code that was used last, and how many digits it has; nil where none is noted.
  package let lastCode: (value: UInt32, digits: CodeDigits)?
  /// When that was, in seconds since the epoch; nil where no time is noted.
  package let lastUsedAt: Int64?

  /// Reads the words of a line.
  init(_ words: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) {
    let (period, typeDigits) = try Self.type(text.text(words[0]) ?? "")
    guard words.count > 3 else { throw FormatProblem("it ends early: TYPE USER PASSWORD KEY are needed") }
    // A plus is a password that something else checks, which it is here too.
    guard ["-", "+"].contains(text.text(words[2])) else {
      throw FormatProblem(
        "it has a password of its own, and there is none here beside that of the account",
        hint: "give the account that password, and put - in its place in a copy of the file")
    }
    key = try SharedKey(hexadecimal: text.slice(words[3]))
    let counter = try words.count > 4 ? Self.counter(text.text(words[4])) : 0
    lastCode = try words.count > 5 ? Self.code(text.text(words[5])) : nil
    lastUsedAt = try words.count > 6 ? Self.time(text.text(words[6])) : nil
    // pam_oath's own option says how long codes are, whatever the type has: a code that was used is proof.
    digits = lastCode?.digits ?? typeDigits
    kind = period.map { .totp(period: $0) } ?? .hotp(counter: counter)
  }

  /// The period in seconds, nil for a counter, and how many digits the type names.
  private static func type(_ name: String) throws(FormatProblem) -> (Int64?, CodeDigits) {
    var parts = name.split(separator: "/", omittingEmptySubsequences: false)[...]
    parts = parts.dropFirst()
    let period: Int64?
    switch parts.popFirst() {
    case nil, "E": period = nil
    case "T30": period = 30
    case "T60": period = 60
    default:
      throw FormatProblem("the type is not one that pam_oath knows", hint: "see: HOTP, HOTP/E, HOTP/T30, HOTP/T60")
    }
    let digits: CodeDigits
    switch parts.popFirst() {
    case nil, "6": digits = .six
    case "8": digits = .eight
    case "7": throw Self.sevenDigits
    default: throw FormatProblem("the type names a number of digits that pam_oath does not know")
    }
    guard parts.isEmpty else { throw FormatProblem("the type goes on after the number of digits") }
    return (period, digits)
  }

  private static var sevenDigits: FormatProblem {
    FormatProblem("codes of seven digits are not supported, only of six and of eight")
  }

  private static func counter(_ word: String?) throws(FormatProblem) -> UInt64 {
    guard let counter = word.flatMap(UInt64.init), counter < LoginState.highestCounter else {
      throw FormatProblem("the counter is not a number that a counter can have")
    }
    return counter
  }

  private static func code(_ word: String?) throws(FormatProblem) -> (UInt32, CodeDigits)? {
    guard let word, word != "-" else { return nil }
    if word.utf8.count == 7 { throw Self.sevenDigits }
    guard let digits = UInt8(exactly: word.utf8.count).flatMap(CodeDigits.init),
      word.utf8.allSatisfy({ $0.decimalDigit != nil }), let value = UInt32(word)
    else { throw FormatProblem("the last code is not one of six or eight digits") }
    return (value, digits)
  }

  /// Local time, as `2026-01-31T12:00:00L`.
  private static func time(_ word: String?) throws(FormatProblem) -> Int64 {
    let problem = FormatProblem("the time of the last code is not one, as 2026-01-31T12:00:00L")
    guard let text = word.map({ Array($0.utf8) }), text.count == 20 else { throw problem }
    let form = Array("0000-00-00T00:00:00L".utf8)
    for (byte, expected) in zip(text, form) {
      guard expected == UInt8(ascii: "0") ? byte.decimalDigit != nil : byte == expected else { throw problem }
    }
    func number(_ range: Range<Int>) -> Int32 { range.reduce(0) { $0 * 10 + Int32(text[$1] - UInt8(ascii: "0")) } }
    var time = unsafe tm()
    unsafe time.tm_year = number(0..<4) - 1900
    unsafe time.tm_mon = number(5..<7) - 1
    unsafe time.tm_mday = number(8..<10)
    unsafe time.tm_hour = number(11..<13)
    unsafe time.tm_min = number(14..<16)
    unsafe time.tm_sec = number(17..<19)
    unsafe time.tm_isdst = -1
    let seconds = unsafe mktime(&time)
    guard seconds >= 0 else { throw problem }
    return Int64(seconds)
  }
}

extension OATHToken {
  /// How many counters on from where it is expected the last code is looked for.
  private static var counters: UInt64 { 1000 }

  /// How many steps from the time that is noted the last code is looked for: pam_oath's window is what its
  /// administrator says.
  private static var steps: UInt64 { 100 }

  /// How many steps ahead of now a code may be that is good at a login, whatever the host's policy.
  private static var furthestStep: UInt64 { 11 }

  /// The token as a device of which what was used is used up: the last code is not good again.
  ///
  /// - Parameter now: Seconds since the epoch.
  /// - Returns: The device.
  /// - Throws: Where there is no memory.
  package func device(now: Int64) throws(FormatProblem) -> ImportedDevice {
    guard let secret = key.sharedSecret(.sha1) else { throw FormatProblem("out of memory") }
    var kind = kind
    var nextStep: UInt64 = 0
    switch kind {
    case .hotp(let counter): kind = .hotp(counter: next(counter, secret))
    case .totp(let period): nextStep = next(period, secret, now: now)
    }
    var device = ImportedDevice(kind: kind, digits: digits, key: key)
    device.nextStep = nextStep
    if lastCode != nil { device.lastUsedAt = min(lastUsedAt ?? 0, now) }
    return device
  }

  private func isLast(_ factor: UInt64, _ secret: borrowing SharedSecret) -> Bool {
    guard let lastCode else { return false }
    return secret.code(at: factor, digits: lastCode.digits) == lastCode.value
  }

  /// pam_oath notes the counter of the last code, not the one after it, and knows that code when it comes again.
  private func next(_ counter: UInt64, _ secret: borrowing SharedSecret) -> UInt64 {
    guard lastCode != nil else { return counter }
    for distance in 0..<Self.counters where counter < LoginState.highestCounter - distance {
      if isLast(counter + distance, secret) { return counter + distance + 1 }
    }
    return counter
  }

  /// The step after that of the last code: the one nearest to the time that is noted, else the last one about now.
  private func next(_ period: Int64, _ secret: borrowing SharedSecret, now: Int64) -> UInt64 {
    guard lastCode != nil, let current = TimeStep(at: now, period: period)?.rawValue else { return 0 }
    var next: UInt64 = 0
    if let lastUsedAt, let noted = TimeStep(at: lastUsedAt, period: period)?.rawValue {
      for distance in 0...Self.steps {
        let earlier = noted - min(distance, noted)
        // Of two that are as near the later one: what is refused needlessly is refused for a while.
        if isLast(noted + distance, secret) { next = noted + distance + 1 }
        if next == 0, isLast(earlier, secret) { next = earlier + 1 }
        if next > 0 { break }
      }
    }
    // The zone may be another one than when the time was noted. Whatever it was: a login does not take the code.
    for step in current - min(Self.furthestStep, current)...current + Self.furthestStep where step >= next {
      if isLast(step, secret) { next = step + 1 }
    }
    return next
  }
}
