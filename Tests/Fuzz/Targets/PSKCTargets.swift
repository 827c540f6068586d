import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword

private struct Canceled: Error {}

/// A PSKC file is refused, or each key makes codes or has a problem with a description. Parsing it again returns the
/// same. With another key or passphrase, no other secret is accepted.
func fuzzPSKC(_ bytes: [UInt8]) {
  _ = KeyFileFormat(of: bytes.span)
  let first = keys(bytes, "12345678901234567890123456789012", "qwerty")
  require(first == keys(bytes, "12345678901234567890123456789012", "qwerty"), "another result the second time")
  let others = keys(bytes, "22345678901234567890123456789012", "Qwerty")
  require(others.allSatisfy(first.contains), "a secret that the key does not encrypt")
}

/// The secrets, in Base32.
private func keys(_ bytes: [UInt8], _ key: String, _ passphrase: String) -> [String] {
  var reading = KeyFileReading(now: 1_700_000_000)
  var questions = 0
  reading.unlock = { lock in
    questions += 1
    require(questions == 1, "the key is asked for twice")
    // Many iterations are slow.
    let digits = bytes.split { $0 < UInt8(ascii: "0") || $0 > UInt8(ascii: "9") }
    guard digits.allSatisfy({ $0.count < 5 }), var answer = SecretBuffer(capacity: 128) else { throw Canceled() }
    switch lock {
    case .presharedKey(let length, _): _ = answer.append(String((key + key).prefix(2 * length)).utf8.span)
    case .passphrase: _ = answer.append(passphrase.utf8.span)
    }
    return answer
  }
  do {
    return try KeyFileFormat.pskc.entries(of: bytes.span, reading).compactMap(checked)
  } catch let problem as FormatProblem {
    check(problem)
  } catch is Canceled {
  } catch {
    fatalError("libxml2 or libcrypto is not installed")
  }
  return []
}

private func checked(_ entry: KeyEntry) -> String? {
  for label in [entry.issuer, entry.account, entry.serial] {
    require(label.map { $0.isOneLine(upTo: 256) } ?? true, "a label that is not printable")
  }
  require(entry.remarks.allSatisfy { $0.isOneLine(upTo: 128) }, "a remark that is not printable")
  switch entry.device {
  case .failure(let problem):
    check(problem)
    return nil
  case .success(let device):
    if case .totp(let period) = device.kind {
      require(TimeStep.periods.contains(period), "a period out of range")
      require(device.nextStep <= UInt64(1_700_000_000 / period), "used steps in the future")
    }
    require(Device.clockOffsets.contains(device.clockOffset), "a clock offset out of range")
    require(device.key.sharedSecret(device.algorithm) != nil, "no memory")
    return device.key.base32
  }
}

private func check(_ problem: FormatProblem) {
  require(problem.text.isOneLine(upTo: 160), "a problem without a description")
}
