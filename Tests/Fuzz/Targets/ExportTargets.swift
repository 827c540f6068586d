import FixedMemory
import KeyFormats
import OneTimePassword

private let formats: [KeyFileFormat] = [.aegis, .twoFAS, .andOTP, .freeOTP, .bitwarden]

/// An app's export is refused, or each account makes codes or has a problem with a description. Parsing it again
/// returns the same.
func fuzzExports(_ bytes: [UInt8]) {
  let detected = KeyFileFormat(of: bytes.span)
  for format in formats {
    let first = description(bytes, format)
    require(first == description(bytes, format), "another result the second time")
    if format == detected, first.isEmpty { fatalError("a detected export is empty without a problem") }
  }
}

private func description(_ bytes: [UInt8], _ format: KeyFileFormat) -> String {
  do {
    return try format.entries(of: bytes.span, KeyFileReading(now: 1_700_000_000)).map(checked).joined(separator: "\n")
  } catch let problem as FormatProblem {
    return checked(problem)
  } catch {
    fatalError("libjansson is not installed")
  }
}

private func checked(_ entry: KeyEntry) -> String {
  for label in [entry.issuer, entry.account] {
    require(label.map { (1...128).contains($0.unicodeScalars.count) } ?? true, "a label of another length")
  }
  guard case .success(let device) = entry.device else {
    if case .failure(let problem) = entry.device { return checked(problem) }
    return ""
  }
  for label in [device.issuer, device.account] {
    require(label.map(OTPAuthURI.isValidLabelPart) ?? true, "a label that no URI can contain")
  }
  if case .totp(let period) = device.kind {
    require(TimeStep.periods.contains(period), "a period out of range")
  }
  require(device.key.sharedSecret(device.algorithm) != nil, "no memory")
  do {
    let parsed = try OTPAuthURI(parsing: device.uri.utf8.span).device
    require(parsed.uri == device.uri && parsed.key.isEqual(to: device.key), "a URI of another device")
  } catch {
    fatalError("a device without a URI")
  }
  return device.uri
}

private func checked(_ problem: FormatProblem) -> String {
  require(!problem.message.isEmpty && problem.message.utf8.count < 128, "a problem without a description")
  return problem.text
}
