import Enrollment
import FixedMemory
import Glibc
import OneTimePassword

/// A users file of pam_oath: one token a line, `TYPE USER PASSWORD KEY [COUNTER [CODE [TIME]]]`. Lines without a type
/// are comments. Source: `usersfile.c` of liboath.
package struct OATHUsersFile {
  package struct Entry {
    /// Counted from 1.
    package let line: Int
    package let user: String
    package let token: Result<OATHToken, FormatProblem>
  }

  package let entries: [Entry]

  /// An invalid line becomes an entry with a problem, and does not affect other users.
  package init(parsing text: Span<UInt8>) {
    var lines = TextLines()
    var entries: [Entry] = []
    while let line = lines.next(in: text) {
      let words = line.words(in: text)
      guard words.count > 1, Self.isType(text.slice(words[0])) else { continue }
      let user = text.text(words[1])
      do throws(FormatProblem) {
        guard user != nil else { throw FormatProblem("the user name is not UTF-8") }
        let token = try OATHToken(words, of: text)
        entries.append(Entry(line: line.number, user: user ?? "", token: .success(token)))
      } catch {
        let problem = FormatProblem(line: line.number, error.message, hint: error.hint)
        entries.append(Entry(line: line.number, user: user ?? "", token: .failure(problem)))
      }
    }
    self.entries = entries
  }

  /// An entry for each line with a token, with the user as account.
  func entries(_ reading: KeyFileReading) throws(FormatProblem) -> [KeyEntry] {
    guard !entries.isEmpty else { throw FormatProblem("it contains no token") }
    return entries.map { line in
      let device = line.token.flatMap { token in
        Result { () throws(FormatProblem) in try token.device(reading) }.mapError { $0.at(line.line) }
      }
      var entry = KeyEntry(device, line: line.line)
      entry.account = line.user
      if case .success(let token) = line.token, case .success = device, let remark = token.remark(reading) {
        entry.remarks.append(remark)
      }
      return entry
    }
  }

  /// Whether the word is a known or unknown token type.
  static func isType(_ word: Span<UInt8>) -> Bool { word.isEqual(to: "HOTP") || word.starts(with: "HOTP/") }
}

package struct OATHToken {
  package let kind: Device.Kind
  /// 6 to 8; nil if the type does not say.
  package let typeDigits: UInt8?
  package let key: SharedKey
  /// Nil if the line has none.
  package let lastCode: (value: UInt32, digits: CodeDigits)?
  /// Unix time; nil if the line has no time.
  package let lastUsedAt: Int64?

  init(_ words: [Range<Int>], of text: Span<UInt8>) throws(FormatProblem) {
    let (period, digits) = try Self.type(text.text(words[0]) ?? "")
    guard words.count > 3 else { throw FormatProblem("the line is truncated; expected TYPE USER PASSWORD KEY") }
    // - means no password; + means one that another module checks.
    guard ["-", "+"].contains(text.text(words[2])) else {
      throw FormatProblem(
        "tokens with a password of their own are not supported",
        hint: "make it the password of the account, and replace it with - in a copy of the file")
    }
    key = try SharedKey(hexadecimal: text.slice(words[3]))
    let counter = try words.count > 4 ? Self.counter(text.text(words[4])) : 0
    lastCode = try words.count > 5 ? Self.code(text.text(words[5])) : nil
    lastUsedAt = try words.count > 6 ? Self.time(text.text(words[6])) : nil
    typeDigits = digits
    kind = period.map { .totp(period: $0) } ?? .hotp(counter: counter)
  }

  /// Returns the period in seconds (nil for HOTP) and the digits.
  private static func type(_ name: String) throws(FormatProblem) -> (Int64?, UInt8?) {
    var parts = name.split(separator: "/", omittingEmptySubsequences: false)[...]
    parts = parts.dropFirst()
    let period: Int64?
    switch parts.popFirst() {
    case nil, "E": period = nil
    case "T30": period = 30
    case "T60": period = 60
    default:
      throw FormatProblem("unknown token type", hint: "known types: HOTP, HOTP/E, HOTP/T30, HOTP/T60")
    }
    let digits: UInt8?
    switch parts.popFirst() {
    case nil: digits = nil
    case "6": digits = 6
    case "7": digits = 7
    case "8": digits = 8
    default: throw FormatProblem("the number of digits in the token type must be 6 or 8")
    }
    guard parts.isEmpty else { throw FormatProblem("unexpected text after the number of digits in the token type") }
    return (period, digits)
  }

  private static func counter(_ word: String?) throws(FormatProblem) -> UInt64 {
    guard let counter = word.flatMap(UInt64.init), counter < LoginState.highestCounter else {
      throw .counterOutOfRange
    }
    return counter
  }

  private static func code(_ word: String?) throws(FormatProblem) -> (UInt32, CodeDigits)? {
    guard let word, word != "-" else { return nil }
    if word.utf8.count == 7 { throw .sevenDigits }
    guard let digits = UInt8(exactly: word.utf8.count).flatMap(CodeDigits.init),
      word.utf8.allSatisfy({ $0.decimalDigit != nil }), let value = UInt32(word)
    else { throw FormatProblem("the last code must have six or eight digits") }
    return (value, digits)
  }

  /// Parses local time: `2026-01-31T12:00:00L`.
  private static func time(_ word: String?) throws(FormatProblem) -> Int64 {
    let problem = FormatProblem("the time of the last code must have the form 2026-01-31T12:00:00L")
    let form = "0000-00-00T00:00:00L"
    guard let word, word.utf8.count == form.utf8.count,
      zip(word.utf8, form.utf8).allSatisfy({ $1 == UInt8(ascii: "0") ? $0.decimalDigit != nil : $0 == $1 })
    else { throw problem }
    let digits = word.utf8.map { Int32($0) - 0x30 }
    func number(_ range: Range<Int>) -> Int32 { range.reduce(0) { $0 * 10 + digits[$1] } }
    // SAFETY: mktime(3) accesses only the structure, and ignores its pointer tm_zone.
    var time = unsafe tm()
    unsafe (time.tm_year, time.tm_mon, time.tm_mday) = (number(0..<4) - 1900, number(5..<7) - 1, number(8..<10))
    unsafe (time.tm_hour, time.tm_min, time.tm_sec) = (number(11..<13), number(14..<16), number(17..<19))
    unsafe time.tm_isdst = -1
    let seconds = unsafe mktime(&time)
    guard seconds >= 0 else { throw problem }
    return Int64(seconds)
  }
}

extension OATHToken {
  /// How many counters to search for the last code, from the recorded one.
  private static var counters: UInt64 { 1000 }

  /// How many time steps to search for the last code, before and after the recorded time; pam_oath's window is
  /// configurable.
  private static var steps: UInt64 { 100 }

  /// The largest window (10 steps), plus one until the next login.
  private static var furthestStep: UInt64 { 11 }

  /// pam_oath takes the length from the reply or its option `digits=`, never from the type. So the last code decides,
  /// then ``KeyFileReading/digits``.
  package func digits(_ chosen: CodeDigits?) throws(FormatProblem) -> CodeDigits {
    if let digits = lastCode?.digits ?? chosen { return digits }
    guard let digits = CodeDigits(rawValue: typeDigits ?? 6) else { throw .sevenDigits }
    return digits
  }

  /// How the length of the codes was decided; nil if that needs no remark.
  func remark(_ reading: KeyFileReading) -> String? {
    guard let chosen = reading.digits?.rawValue else {
      return lastCode == nil && typeDigits == nil
        ? "The file does not say how long the codes are: 6 digits are assumed; if pam_oath had digits=8, use --digits 8"
        : nil
    }
    if let last = lastCode?.digits.rawValue {
      return last == chosen ? nil : "The last used code has \(last) digits, so --digits \(chosen) is ignored"
    }
    return typeDigits ?? chosen == chosen
      ? nil : "--digits \(chosen) overrides the type, as digits=\(chosen) of pam_oath does"
  }

  /// The last code counts as used.
  package func device(_ reading: KeyFileReading) throws(FormatProblem) -> DeviceDraft {
    let now = reading.now
    let digits = try digits(reading.digits)
    guard let secret = key.sharedSecret(.sha1) else { throw .outOfMemory }
    var kind = kind
    var nextStep: UInt64 = 0
    switch kind {
    case .hotp(let counter): kind = .hotp(counter: next(counter, secret))
    case .totp(let period): nextStep = next(period, secret, now: now)
    }
    var device = DeviceDraft(key: key, kind: kind, digits: digits)
    device.nextStep = nextStep
    if lastCode != nil, let lastUsedAt { device.lastUsedAt = min(lastUsedAt, now) }
    return device
  }

  private func isLast(_ factor: UInt64, _ secret: borrowing SharedSecret) -> Bool {
    guard let lastCode else { return false }
    return secret.code(at: factor, digits: lastCode.digits) == lastCode.value
  }

  /// The counter after the last code. pam_oath records the counter of the code itself.
  private func next(_ counter: UInt64, _ secret: borrowing SharedSecret) -> UInt64 {
    guard lastCode != nil else { return counter }
    for distance in 0..<Self.counters where counter < LoginState.highestCounter - distance {
      if isLast(counter + distance, secret) { return counter + distance + 1 }
    }
    return counter
  }

  /// The step after the last code, searched around the recorded time and around now.
  private func next(_ period: Int64, _ secret: borrowing SharedSecret, now: Int64) -> UInt64 {
    guard lastCode != nil, let current = TimeStep(at: now, period: period)?.rawValue else { return 0 }
    var next: UInt64 = 0
    if let lastUsedAt, let noted = TimeStep(at: lastUsedAt, period: period)?.rawValue {
      for distance in 0...Self.steps {
        let earlier = noted - min(distance, noted)
        // Of two matches at the same distance, the later one is safer.
        if isLast(noted + distance, secret) { next = noted + distance + 1 }
        if next == 0, isLast(earlier, secret) { next = earlier + 1 }
        if next > 0 { break }
      }
    }
    // The time zone may have changed since; the last code must not pass in any case.
    for step in current - min(Self.furthestStep, current)...current + Self.furthestStep where step >= next {
      if isLast(step, secret) { next = step + 1 }
    }
    return next
  }
}
