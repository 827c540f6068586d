import FixedMemory
import KeyFormats

/// PSKC files as the tests need them.
enum PSKCSample {
  static let now: Int64 = 1_700_000_000
  /// `12345678901234567890`, the key of RFC 4226, as Base32 and as Base64.
  static let key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
  static let plainSecret = "<Secret><PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue></Secret>"

  /// A container with these elements.
  static func container(_ content: String, _ attributes: String = #"Version="1.0""#) -> String {
    """
    <?xml version="1.0" encoding="UTF-8"?>
    <KeyContainer \(attributes) xmlns="urn:ietf:params:xml:ns:keyprov:pskc"
      xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
    \(content)
    </KeyContainer>
    """
  }

  /// A key package.
  static func package(
    _ algorithm: String = "urn:ietf:params:xml:ns:keyprov:pskc:totp", format: String = "",
    data: String = plainSecret, rest: String = "", device: String = "<SerialNo>987654321</SerialNo>"
  ) -> String {
    """
    <KeyPackage><DeviceInfo><Manufacturer>oath.EX</Manufacturer>\(device)</DeviceInfo>
      <Key Id="k1" Algorithm="\(algorithm)">
        <AlgorithmParameters>\(format)</AlgorithmParameters><Data>\(data)</Data>\(rest)
      </Key></KeyPackage>
    """
  }

  /// An encrypted value with a MAC.
  static func encrypted(
    _ name: String, _ ciphertext: String, mac: String?, cipher: String = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
  ) -> String {
    """
    <\(name)><EncryptedValue><xenc:EncryptionMethod Algorithm="\(cipher)"/>
      <xenc:CipherData><xenc:CipherValue>\(ciphertext)</xenc:CipherValue></xenc:CipherData></EncryptedValue>
      \(mac.map { "<ValueMAC>\($0)</ValueMAC>" } ?? "")</\(name)>
    """
  }

  static func macMethod(
    _ key: String?, digest: String = "hmac-sha1", cipher: String = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
  ) -> String {
    let element = key.map {
      """
      <MACKey><xenc:EncryptionMethod Algorithm="\(cipher)"/>
        <xenc:CipherData><xenc:CipherValue>\($0)</xenc:CipherValue></xenc:CipherData></MACKey>
      """
    }
    return "<MACMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#\(digest)\">\(element ?? "")</MACMethod>"
  }

  static let named = "<EncryptionKey><ds:KeyName>Example key</ds:KeyName></EncryptionKey>"

  static func entries(_ text: String, answer: String? = nil) throws -> [KeyEntry] {
    var reading = KeyFileReading(now: now)
    reading.unlock = { _ in
      guard let answer else { throw Missing(what: "answer") }
      return try typed(answer)
    }
    return try KeyFileFormat.pskc.entries(of: text.utf8.span, reading)
  }

  /// Of a container with one key.
  static func entry(_ text: String, answer: String? = nil) throws -> KeyEntry {
    let entries = try entries(text, answer: answer)
    guard let entry = entries.first, entries.count == 1 else { throw Missing(what: "entry") }
    return entry
  }

  static func device(_ text: String, answer: String? = nil) throws -> DeviceDraft {
    try entry(text, answer: answer).device.get()
  }

  /// Of the text as a whole, or of its only key.
  static func problem(_ text: String, answer: String? = nil) throws -> String? {
    do {
      if case .failure(let problem) = try entry(text, answer: answer).device { return problem.text }
      return nil
    } catch let problem as FormatProblem {
      return problem.text
    }
  }
}
