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
    require(message == [HelperMessage.version, request.rawValue], "a request with other bytes")
    if isWhole { require(array(request.encoded.bytes) == bytes, "a parsed request is encoded differently") }
  } catch {
    require([.malformed, .unknownVersion, .unknownRequest].contains(error), "a wrong status")
  }
}

private func fuzzAnswer(_ bytes: [UInt8], isWhole: Bool) {
  guard let answer = HelperAnswer(parsing: secret(bytes).bytes) else { return }
  require(isWhole, "an answer of another length")
  require(array(answer.encoded.bytes) == bytes, "a parsed answer is encoded differently")
}
