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
    if request == .replace, let change = change(in: message), isWhole {
      require(change == Array(message), "a parsed change is encoded differently")
    }
  } catch {
    require([.malformed, .unknownVersion, .unknownRequest].contains(error), "a wrong status")
  }
}

/// The change, encoded again; nil if it is malformed.
private func change(in message: [UInt8]) -> [UInt8]? {
  let message = secret(message)
  var reader = MessageReader()
  let ticket = reader.field(of: message.bytes)
  guard let change = try? EnrollmentChange(&reader, of: message.bytes),
    let encoded = HelperRequest.replace(change, ticket: ticket)
  else { return nil }
  return Array(array(encoded.bytes).dropFirst(HelperMessage.prefixLength))
}

private func fuzzAnswer(_ bytes: [UInt8], isWhole: Bool) {
  guard let answer = HelperAnswer(parsing: secret(bytes).bytes) else { return }
  require(isWhole, "an answer of another length")
  if let checked = CheckedCode(answer), let encoded = checked.encoded {
    require(array(encoded.bytes) == bytes, "a parsed verdict is encoded differently")
  }
}
