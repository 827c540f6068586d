import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword

/// A file of another program is refused, or says the same when it is written again in the plainest form.
func fuzzImported(_ bytes: [UInt8]) {
  _ = KeyFileFormat(of: bytes.span)
  do throws(FormatProblem) {
    let file = try GoogleAuthenticatorFile(parsing: bytes.span)
    require(file.scratchCodes.allSatisfy { $0.utf8.count == 8 }, "a scratch code of another length")
    let text = plainText(of: file)
    let again = try? GoogleAuthenticatorFile(parsing: text.utf8.span)
    require(again.map(plainText) == text, "a google-authenticator file says something else when it is written again")
    let device = file.device(now: 1_700_000_000)
    require(Device.clockOffsets.contains(device.clockOffset), "an offset that no credential can contain")
    if case .totp = device.kind {
      require(file.usedSteps.allSatisfy { $0 < device.nextStep }, "a used step is good again")
    } else {
      require(device.clockOffset == 0 && device.algorithm == .sha1, "a counter with an option of a clock")
    }
  } catch {
    require(!error.message.isEmpty && error.message.utf8.count < 128, "a problem without a description")
  }

  let file = OATHUsersFile(parsing: bytes.span)
  for entry in file.entries {
    for chosen in [nil, CodeDigits.six, .eight] {
      var reading = KeyFileReading(now: 1_700_000_000)
      reading.digits = chosen
      do throws(FormatProblem) {
        try checkToken(entry.token.get(), reading)
      } catch {
        require(!error.message.isEmpty, "a problem without a description")
      }
    }
    if case .failure(let problem) = entry.token { require(problem.line == entry.line, "a problem without a line") }
  }
}

/// The last code that was used is not good again, and a token is read again as it was.
private func checkToken(_ token: OATHToken, _ reading: KeyFileReading) throws(FormatProblem) {
  let device = try token.device(reading)
  guard let secret = token.key.sharedSecret(.sha1) else { fatalError("no memory") }
  if let last = token.lastCode, case .totp(let period) = device.kind {
    require(device.digits == last.digits, "a device whose last code had another length")
    let current = UInt64(reading.now / period)
    for step in current - 11...current + 11 where step >= device.nextStep {
      require(secret.code(at: step, digits: last.digits) != last.value, "the last code is good again")
    }
  }
  if token.lastCode != nil, case (.hotp(let noted), .hotp(let next)) = (token.kind, device.kind) {
    require(next >= noted, "a counter went back")
  }
  guard let text = plainLine(of: token) else { return }
  let again = try? OATHUsersFile(parsing: text.utf8.span).entries.first?.token.get()
  require(again.flatMap(plainLine) == text, "a users file says something else when it is written again")
}

/// Columns and keys of a seed file are refused, or name devices that a credential can contain. A map gives no token to
/// an account without a name.
func fuzzSeeds(_ bytes: [UInt8]) {
  var reading = KeyFileReading(now: 1_700_000_000)
  for columns in [nil, [CSVColumn.serial, .key], [.account, .other, .key, .type, .digits, .period, .counter]] {
    reading.columns = columns
    for isCounterBased in [nil, true] {
      reading.isCounterBased = isCounterBased
      do throws(FormatProblem) {
        checkSeeds(try SeedFile.entries(of: bytes.span, reading))
      } catch {
        require(!error.message.isEmpty && error.message.utf8.count < 128, "a problem without a description")
      }
    }
  }
  guard let map = try? AccountMap(parsing: bytes.span) else { return }
  require(map.lines.allSatisfy { !$0.serial.isEmpty && !$0.account.isEmpty }, "a line without a name")
  require(map.problems.allSatisfy { $0.line != nil }, "a problem without a line")
  let text = map.lines.map { "\(quoted($0.serial)),\(quoted($0.account))\n" }.joined()
  let again = try? AccountMap(parsing: ("serial,account\n" + text).utf8.span)
  require(
    (again?.lines ?? []).map { [$0.serial, $0.account] } == map.lines.map { [$0.serial, $0.account] },
    "a map says something else when it is written again")
}

private func checkSeeds(_ entries: [KeyEntry]) {
  var last = 0
  for entry in entries {
    require(entry.line ?? 0 > last, "lines that go back")
    last = entry.line ?? 0
    switch entry.device {
    case .success(let device):
      if case .totp(let period) = device.kind { require(TimeStep.periods.contains(period), "a period of no login") }
    case .failure(let problem):
      require(!problem.message.isEmpty && problem.line == entry.line, "a problem without a line")
    }
  }
}

private func quoted(_ text: String) -> String {
  "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
}

private func plainText(of file: GoogleAuthenticatorFile) -> String {
  var lines = [file.key.base32]
  switch file.kind {
  case .totp(let period): lines += ["\" TOTP_AUTH", "\" STEP_SIZE \(period)"]
  case .hotp(let counter): lines.append("\" HOTP_COUNTER \(counter)")
  }
  if file.digits != .six { lines.append("\" DIGITS \(file.digits.rawValue)") }
  if file.algorithm != .sha1 { lines.append("\" ALGORITHM \(file.algorithm.text)") }
  if let size = file.windowSize { lines.append("\" WINDOW_SIZE \(size)") }
  if let limit = file.rateLimit { lines.append("\" RATE_LIMIT \(limit.logins) \(limit.seconds)") }
  if file.timeSkew != 0 { lines.append("\" TIME_SKEW \(file.timeSkew)") }
  if !file.usedSteps.isEmpty {
    lines.append("\" DISALLOW_REUSE " + file.usedSteps.map(String.init).joined(separator: " "))
  }
  for option in file.otherOptions { lines.append(option.map { "\" \($0)" } ?? "\"") }
  return (lines + file.scratchCodes).joined(separator: "\n") + "\n"
}

/// Nil where the type cannot be written: a period that no type has is none that was read.
private func plainLine(of token: OATHToken) -> String? {
  var key = token.key.base32
  guard var bytes = SecretBuffer(capacity: 128), Base32.decode(key.utf8.span, into: &bytes) else { return nil }
  key = array(bytes.bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  let digits = token.typeDigits.map { "/\($0)" } ?? ""
  var line: String
  switch token.kind {
  case .totp(let period): line = "HOTP/T\(period)\(digits) user - \(key) 0"
  case .hotp(let counter): line = "HOTP/E\(digits) user - \(key) \(counter)"
  }
  if let last = token.lastCode {
    let digits = String(last.value)
    line += " " + String(repeating: "0", count: Int(last.digits.rawValue) - digits.count) + digits
  }
  return line + "\n"
}
