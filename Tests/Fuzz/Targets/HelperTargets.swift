import Enrollment
import FixedMemory
import HelperProtocol

/// A message to or from the helper is rejected, or is encoded again as the same bytes.
func fuzzRequest(_ bytes: [UInt8]) {
  let (prefix, rest) = (Array(bytes.prefix(HelperMessage.prefixLength)), bytes.dropFirst(HelperMessage.prefixLength))
  let length = HelperMessage.length(secret(prefix).bytes)
  if let length { require((2...HelperMessage.maximumLength).contains(length), "the length is out of range") }
  fuzzRequest(bytes, message: Array(rest), isWhole: length == rest.count)
  fuzzAnswer(bytes, isWhole: length == rest.count)
}

private func fuzzRequest(_ bytes: [UInt8], message: [UInt8], isWhole: Bool) {
  do throws(HelperStatus) {
    let request = try HelperRequest(parsing: secret(message).bytes)
    require(message.count >= 2 && message[1] == request.rawValue, "a request with other bytes")
    guard isWhole else { return }
    if let encoded = encoded(request, message) {
      require(encoded == message, "a parsed request is encoded differently")
    }
  } catch {
    require([.malformed, .unknownVersion, .unknownRequest].contains(error), "a wrong status")
  }
}

/// A valid request with a body, encoded again without its length.
private func encoded(_ request: HelperRequest, _ bytes: [UInt8]) -> [UInt8]? {
  let message = secret(bytes)
  var reader = MessageReader()
  switch request {
  case .status, .register, .unregister:
    return reader.isComplete(message.bytes) ? withoutLength(request.encoded) : nil
  case .check:
    let flags = CheckFlags(rawValue: reader.byte(of: message.bytes))
    let text = reader.field(of: message.bytes)
    guard flags.isValid, reader.isComplete(message.bytes) else { return nil }
    return withoutLength(HelperRequest.check(text, flags))
  case .remove, .show:
    let ticket = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return nil }
    return withoutLength(request.encoded(ticket: ticket))
  case .replace:
    let ticket = reader.field(of: message.bytes)
    guard let change = try? EnrollmentChange(&reader, of: message.bytes) else { return nil }
    fuzzEnrollment(change)
    return withoutLength(HelperRequest.replace(change, ticket: ticket))
  case .resync:
    let name = reader.field(of: message.bytes)
    let first = reader.field(of: message.bytes)
    let second = reader.field(of: message.bytes)
    guard reader.isComplete(message.bytes) else { return nil }
    return withoutLength(HelperRequest.resync(name, first, second))
  default: return nil
  }
}

private func withoutLength(_ message: consuming SecretBuffer?) -> [UInt8]? {
  guard let message else { return nil }
  return Array(array(message.bytes).dropFirst(HelperMessage.prefixLength))
}

/// A first enrollment is rejected, or a login can parse it.
private func fuzzEnrollment(_ change: borrowing EnrollmentChange) {
  let generation = Generation(bytes: InlineArray<16, UInt8>(repeating: 7))
  guard let renewed = try? RenewedEnrollment(change, generation: generation) else { return }
  guard let credential = try? Credential(parsing: secret(array(renewed.credential.bytes))) else {
    fatalError("a credential that cannot be parsed is accepted")
  }
  require(credential.generation == generation, "a credential of another generation")
  require(renewed.state.generation == generation, "a state of another generation")
}

private func fuzzAnswer(_ bytes: [UInt8], isWhole: Bool) {
  guard let answer = HelperAnswer(parsing: secret(bytes).bytes) else { return }
  require(isWhole, "an answer of another length")
  if let verdict = ResyncAnswer.verdict(of: answer) {
    guard let encoded = ResyncAnswer.encoded(verdict), let second = HelperAnswer(parsing: encoded.bytes) else {
      fatalError("an encoded verdict about a device is rejected")
    }
    require(ResyncAnswer.verdict(of: second) == verdict, "a parsed verdict about a device is encoded differently")
  }
  // Numbers that a verdict does not need are ignored.
  guard let checked = CheckedCode(answer), let encoded = checked.encoded else { return }
  guard let second = HelperAnswer(parsing: encoded.bytes), let again = CheckedCode(second)?.encoded else {
    fatalError("an encoded verdict is rejected")
  }
  require(array(again.bytes) == array(encoded.bytes), "a parsed verdict is encoded differently")
}
