import Enrollment
import FixedMemory
import OneTimePassword

/// A key of a container (RFC 6030 section 4.1). Unknown elements that may change the codes are a problem.
struct PSKCKey {
  private let element: XMLElement
  private let package: XMLElement
  private let encryption: PSKCEncryption
  private let reading: KeyFileReading

  init(_ element: XMLElement, of package: XMLElement, encryption: PSKCEncryption, reading: KeyFileReading) {
    self.element = element
    self.package = package
    self.encryption = encryption
    self.reading = reading
  }

  var isPIN: Bool { profile == "pin" }

  /// - Throws: Errors that concern every key: of the library, the question for the key, and
  ///   ``PSKCEncryption/KeyProblem``.
  func entry() throws -> KeyEntry {
    var remarks: [String] = []
    var entry: KeyEntry
    do {
      entry = KeyEntry(.success(try device(&remarks)))
    } catch let problem as FormatProblem {
      entry = KeyEntry(.failure(problem))
    }
    entry.remarks = remarks
    let information = package.children.first { ["DeviceInfo", "DeviceId"].contains($0.name) }
    entry.serial =
      information?.first("SerialNo")?.text
      ?? element.attribute("id", "keyid", "secretid").flatMap { $0.isOneLine(upTo: 256) ? $0 : nil }
    entry.issuer = element.first("Issuer")?.text ?? information?.first("Manufacturer")?.text
    let user = element.first("UserId")?.text ?? information?.first("UserId")?.text
    entry.account = user.map(Self.userName) ?? element.first("FriendlyName")?.text
    return entry
  }

  /// The value of UID in a distinguished name, else the whole text.
  private static func userName(_ text: String) -> String {
    for part in text.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, pair[0].lowercased().filter({ $0 != " " }) == "uid" else { continue }
      return String(pair[1])
    }
    return text
  }

  private func device(_ remarks: inout [String]) throws -> DeviceDraft {
    let isCounterBased = try isCounterBased()
    let digits = try digits()
    let algorithm = try algorithm()
    try PSKCPolicy(of: element, package).check(now: reading.now, &remarks)
    let data = try PSKCData(of: element, encryption)
    for child in element.children where !Self.knownElements.contains(child.name) {
      remarks.append("\(child.plainName): unknown, ignored")
    }
    if isCounterBased {
      let counter = try data.number("Counter")
      if counter == nil { remarks.append("The key has no Counter; the counter starts at 0") }
      guard let counter = UInt64(exactly: counter ?? 0) else { throw FormatProblem.counterOutOfRange }
      return DeviceDraft(key: try key(data), kind: .hotp(counter: counter), algorithm: algorithm, digits: digits)
    }
    let period = try data.number("TimeInterval") ?? reading.period ?? DeviceDraft.defaultPeriod
    guard TimeStep.periods.contains(period) else {
      throw FormatProblem("a TimeInterval of \(period) seconds is not supported, only 15 to 300 seconds")
    }
    // The number of intervals since the start (RFC 6030 section 4.2); a start other than 1970 would change codes.
    let time = try data.number("Time") ?? 0
    guard (0...reading.now / period).contains(time) else { throw FormatProblem("Time is in the future") }
    let drift = try data.number("TimeDrift") ?? 0
    guard Device.clockOffsets.contains(drift) else {
      throw FormatProblem("a TimeDrift of \(drift) is out of range; the limit is \(Device.clockOffsets.upperBound)")
    }
    var device = DeviceDraft(key: try key(data), kind: .totp(period: period), algorithm: algorithm, digits: digits)
    device.clockOffset = drift
    device.nextStep = UInt64(time)
    return device
  }

  private func key(_ data: PSKCData) throws -> SharedKey {
    guard let secret = try data.bytes("Secret") else {
      guard element.first("KeyReference") == nil else {
        throw FormatProblem("the key is not in the file, which only refers to it with KeyReference")
      }
      throw FormatProblem("Secret is missing")
    }
    return try SharedKey(secret)
  }

  private static let knownElements: Set = [
    "Issuer", "AlgorithmParameters", "Usage", "Data", "UserId", "Policy", "FriendlyName", "StartDate", "ExpiryDate",
    "KeyReference",
  ]
}

extension PSKCKey {
  private static let profilePrefixes = [
    "urn:ietf:params:xml:ns:keyprov:pskc:", "urn:ietf:params:xml:ns:keyprov:pskc#", "http://www.ietf.org/keyprov/pskc#",
    "",
  ]

  /// The algorithm in lower case, without the known prefixes of the standard and its drafts; nil if absent.
  private var profile: String? {
    guard let name = element.attribute("algorithm", "keyalgorithm", "secretalgorithm") else { return nil }
    let prefix = Self.profilePrefixes.first { name.hasPrefix($0) } ?? ""
    return name.dropFirst(prefix.count).lowercased()
  }

  private func isCounterBased() throws(FormatProblem) -> Bool {
    switch profile {
    case "hotp": return true
    case "totp": return false
    case nil:
      guard let isCounterBased = reading.isCounterBased else { throw FormatProblem("Algorithm is missing") }
      return isCounterBased
    case let name? where name.hasPrefix("ocra"):
      throw FormatProblem("OCRA, which answers challenges, is not supported")
    case let name? where name.hasSuffix("yubikey-aes"): throw FormatProblem("Yubico OTP is not supported")
    case let name? where name.contains("securid"): throw FormatProblem("SecurID is not supported")
    default: throw FormatProblem("its Algorithm is neither HOTP nor TOTP")
    }
  }

  /// Of ResponseFormat; drafts have it in Usage.
  private func digits() throws(FormatProblem) -> CodeDigits {
    let parameters = try element.child("AlgorithmParameters", "Usage")
    for child in parameters?.children ?? [] where !["ResponseFormat", "Suite"].contains(child.name) {
      guard child.name != "ChallengeFormat" else {
        throw FormatProblem("it has a ChallengeFormat: keys that answer challenges are not supported")
      }
      throw FormatProblem("\(child.plainName) in AlgorithmParameters is unknown")
    }
    guard let format = try parameters?.child("ResponseFormat") else { return reading.digits ?? .six }
    for (name, value) in format.attributes {
      switch name.lowercased() {
      case "length": break
      case "encoding", "format":
        guard value.uppercased() == "DECIMAL" else {
          throw FormatProblem("codes that are not decimal are not supported (Encoding of ResponseFormat)")
        }
      case "checkdigit", "checkdigits":
        guard ["false", "0"].contains(value.lowercased()) else {
          throw FormatProblem("codes with a check digit are not supported (CheckDigits)")
        }
      default: throw FormatProblem("an attribute of ResponseFormat is unknown")
      }
    }
    guard let length = format.attribute("length") else { return reading.digits ?? .six }
    guard let digits = UInt8(length).flatMap(CodeDigits.init) else {
      throw length == "7" ? .sevenDigits : FormatProblem("the Length of ResponseFormat must be 6 or 8")
    }
    return digits
  }

  private func algorithm() throws(FormatProblem) -> HashAlgorithm {
    guard let suite = try element.child("AlgorithmParameters")?.child("Suite") else {
      return reading.algorithm ?? .sha1
    }
    var name = (suite.text ?? "").uppercased().filter { $0 != "-" && $0 != "_" }
    if name.hasPrefix("HMAC") { name.removeFirst(4) }
    switch name {
    case "SHA1": return .sha1
    case "SHA256": return .sha256
    case "SHA512": return .sha512
    default: throw FormatProblem("the Suite must be HMAC-SHA1, HMAC-SHA256 or HMAC-SHA512")
    }
  }
}

/// The values of a key (RFC 6030 section 4.2).
struct PSKCData {
  private var values: [String: XMLElement] = [:]
  private let encryption: PSKCEncryption

  init(of key: XMLElement, _ encryption: PSKCEncryption) throws(FormatProblem) {
    self.encryption = encryption
    for data in key.children where data.name == "Data" {
      if let name = data.attribute("name") {
        try add(data, Self.draftNames[name.uppercased()])
      } else {
        for value in data.children { try add(value, value.name) }
      }
    }
  }

  private static let draftNames = [
    "SECRET": "Secret", "COUNTER": "Counter", "TIME": "Time", "TIME_INTERVAL": "TimeInterval",
    "TIME_DRIFT": "TimeDrift",
  ]

  private mutating func add(_ value: XMLElement, _ name: String?) throws(FormatProblem) {
    guard let name, Self.draftNames.values.contains(name) else {
      throw FormatProblem("\(value.plainName) in Data is unknown")
    }
    guard values.updateValue(value, forKey: name) == nil else { throw FormatProblem("\(name) is repeated") }
  }

  /// Nil if the key has no such value.
  func bytes(_ name: String) throws -> SharedBytes? {
    guard let value = values[name] else { return nil }
    if try value.child("EncryptedValue") != nil { return try encryption.decrypt(value) }
    guard let plain = try value.child("PlainValue", "Value") else {
      throw FormatProblem("\(name) has neither PlainValue nor EncryptedValue")
    }
    return try SharedBytes(base64: plain)
  }

  /// Nil if the key has no such value. A plain number is decimal. Encrypted ones, and those of drafts, are in network
  /// byte order; some programs encrypt decimal numbers.
  func number(_ name: String) throws -> Int64? {
    guard let value = values[name] else { return nil }
    let problem = FormatProblem("\(name) is not a number")
    if try value.child("EncryptedValue") == nil, let plain = try value.child("PlainValue") {
      guard let number = plain.text.flatMap(Int64.init) else { throw problem }
      return number
    }
    let isSigned = name == "TimeDrift"
    let number: Int64? = try bytes(name)?.withBytes { bytes in
      if let number = bytes.text(0..<bytes.count).flatMap(Int64.init) { return number }
      guard (1...8).contains(bytes.count) else { return nil }
      let isNegative = isSigned && bytes[0] & 0x80 != 0
      let number = bytes.indices.reduce(isNegative ? -1 : 0 as Int64) { $0 << 8 | Int64(bytes[$1]) }
      return number < 0 && !isNegative ? nil : number
    }
    guard let number else { throw problem }
    return number
  }
}

extension XMLElement {
  func first(_ name: String) -> XMLElement? { children.first { $0.name == name } }

  /// The name for messages.
  var plainName: String {
    name.utf8.count <= 32 && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) } ? name : "an element"
  }
}

extension SharedKey {
  convenience init(_ bytes: SharedBytes) throws(FormatProblem) {
    let longest = SharedSecret.lengths.upperBound
    guard bytes.count <= longest else { throw FormatProblem("the key is longer than \(longest) bytes") }
    guard var buffer = SecretBuffer(capacity: longest) else { throw .outOfMemory }
    bytes.withBytes { _ = buffer.append($0) }
    try self.init(buffer)
  }
}
