import Enrollment
import FixedMemory
import OneTimePassword

/// A QR code of Google Authenticator's export: a message of Protocol Buffers. A large export has several, which form a
/// batch. Source: `google_auth.proto` of Aegis.
struct MigrationExport {
  /// Of an export with several QR codes.
  struct Batch {
    var identifier: UInt64 = 0
    /// Counted from 0.
    var index: UInt64 = 0
    var size: UInt64 = 1
  }

  private(set) var batch = Batch()
  private(set) var entries: [KeyEntry] = []

  /// Google Authenticator shows ten accounts in a QR code.
  private static let mostQRCodes: UInt64 = 1000

  /// Parses `otpauth-migration://offline?data=`, with Base64 that may be percent-encoded.
  init(parsing uri: Span<UInt8>) throws(FormatProblem) {
    let malformed = FormatProblem("the URI must begin with otpauth-migration://offline?data=")
    guard uri.begins(with: "otpauth-migration://offline"), let query = uri.firstIndex(of: UInt8(ascii: "?")) else {
      throw malformed
    }
    var start = query + 1
    while start < uri.count {
      let end = uri.firstIndex(of: UInt8(ascii: "&"), from: start) ?? uri.count
      let parameter = uri.slice(from: start, to: end)
      if parameter.begins(with: "data=") {
        try parse(parameter.slice(from: 5))
        return
      }
      start = end + 1
    }
    throw malformed
  }

  private mutating func parse(_ encoded: Span<UInt8>) throws(FormatProblem) {
    guard var text = SecretBuffer(capacity: encoded.count), var message = SecretBuffer(capacity: encoded.count) else {
      throw .outOfMemory
    }
    // Form encoding writes `+` as a blank.
    PercentEncoding.decode(encoded) { byte in _ = text.append(byte == UInt8(ascii: " ") ? UInt8(ascii: "+") : byte) }
    guard Base64.decode(text.bytes, into: &message) else { throw FormatProblem("the data of the export is not Base64") }
    let bytes = message.bytes
    var reader = ProtobufReader(0..<bytes.count)
    while let field = try reader.next(in: bytes) {
      switch field.number {
      case 1:
        guard entries.count < OTPAuthURI.mostAccounts else { throw OTPAuthURI.tooMany }
        entries.append(try MigrationParameters(field.range(), of: bytes).entry)
      case 3: batch.size = try field.integer()
      case 4: batch.index = try field.integer()
      case 5: batch.identifier = try field.integer()
      default: break
      }
    }
    guard batch.size <= Self.mostQRCodes, batch.index < max(batch.size, 1) else {
      throw FormatProblem("the export contains wrong numbers of QR codes")
    }
  }

  /// The numbers of the missing QR codes of the batch, counted from 1.
  static func missing(_ batches: [Batch]) -> [UInt64] {
    let size = batches.map(\.size).max() ?? 0
    let found = Set(batches.map(\.index))
    return (0..<size).filter { !found.contains($0) }.map { $0 + 1 }
  }
}

/// An account in the export.
private struct MigrationParameters {
  private var secret: Range<Int>?
  private var name = ""
  private var issuer = ""
  private var algorithm: UInt64 = 0
  private var digits: UInt64 = 0
  private var type: UInt64 = 0
  private var counter: UInt64 = 0
  private var unknownFields: [UInt64] = []
  private var key: Result<SharedKey, FormatProblem> = .failure(FormatProblem("the account has no key"))

  init(_ range: Range<Int>, of bytes: Span<UInt8>) throws(FormatProblem) {
    var reader = ProtobufReader(range)
    while let field = try reader.next(in: bytes) {
      switch field.number {
      case 1: secret = try field.range()
      case 2: name = String(label: try field.range().map { bytes[$0] })
      case 3: issuer = String(label: try field.range().map { bytes[$0] })
      case 4: algorithm = try field.integer()
      case 5: digits = try field.integer()
      case 6: type = try field.integer()
      case 7: counter = try field.integer()
      // Identifies the account.
      case 8: break
      default: if !unknownFields.contains(field.number), unknownFields.count < 10 { unknownFields.append(field.number) }
      }
    }
    if let secret { key = Self.key(bytes.slice(secret)) }
  }

  private static func key(_ secret: Span<UInt8>) -> Result<SharedKey, FormatProblem> {
    guard var buffer = SecretBuffer(capacity: secret.count), buffer.append(secret) else {
      return .failure(.outOfMemory)
    }
    do throws(FormatProblem) {
      guard secret.count <= SharedSecret.lengths.upperBound else { throw .keyIsTooLong }
      return .success(try SharedKey(buffer))
    } catch {
      return .failure(error)
    }
  }

  var entry: KeyEntry {
    let (prefix, account) = OTPAuthURI.labels(of: name)
    let issuer = issuer.isEmpty ? prefix : issuer.trimmedLabelPart
    var entry: KeyEntry
    do throws(FormatProblem) {
      var device = try device()
      (device.issuer, device.account) = (issuer, account)
      entry = KeyEntry(.success(device))
    } catch {
      entry = KeyEntry(.failure(error))
      (entry.issuer, entry.account) = (issuer, account)
    }
    if !unknownFields.isEmpty {
      entry.remarks.append(
        "Field \(unknownFields.map(String.init).joined(separator: ", ")) of the export: unknown, ignored")
    }
    return entry
  }

  private func device() throws(FormatProblem) -> DeviceDraft {
    let algorithm: HashAlgorithm
    switch self.algorithm {
    case 0, 1: algorithm = .sha1
    case 2: algorithm = .sha256
    case 3: algorithm = .sha512
    case 4: throw FormatProblem("the algorithm MD5 is not supported, only SHA1, SHA256 and SHA512")
    default: throw FormatProblem("the number of the algorithm in the export is unknown")
    }
    let digits: CodeDigits
    switch self.digits {
    case 0, 1: digits = .six
    case 2: digits = .eight
    default: throw FormatProblem("the number for the digits in the export is unknown")
    }
    let kind: Device.Kind
    switch type {
    case 1:
      guard counter <= LoginState.highestCounter else { throw .counterOutOfRange }
      kind = .hotp(counter: counter)
    case 2: kind = .totp(period: DeviceDraft.defaultPeriod)
    case 0: throw FormatProblem("the export does not contain the type of the codes")
    default: throw FormatProblem("the number of the type in the export is unknown")
    }
    return DeviceDraft(key: try key.get(), kind: kind, algorithm: algorithm, digits: digits)
  }
}

/// Reads the fields of a message (Protocol Buffers, "Encoding").
private struct ProtobufReader {
  struct Field {
    enum Value {
      case integer(UInt64)
      case bytes(Range<Int>)
      /// Of four or eight bytes.
      case fixed
    }

    let number: UInt64
    let value: Value

    func integer() throws(FormatProblem) -> UInt64 {
      guard case .integer(let integer) = value else { throw ProtobufReader.malformed }
      return integer
    }

    func range() throws(FormatProblem) -> Range<Int> {
      guard case .bytes(let range) = value else { throw ProtobufReader.malformed }
      return range
    }
  }

  static let malformed = FormatProblem(
    "the data of the export is truncated or malformed", hint: "export again, and read the whole QR code")

  private var rest: Range<Int>

  init(_ range: Range<Int>) { rest = range }

  mutating func next(in bytes: Span<UInt8>) throws(FormatProblem) -> Field? {
    guard !rest.isEmpty else { return nil }
    let tag = try integer(in: bytes)
    guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw Self.malformed }
    switch tag & 7 {
    case 0: return Field(number: tag >> 3, value: .integer(try integer(in: bytes)))
    case 1:
      _ = try skip(8)
      return Field(number: tag >> 3, value: .fixed)
    case 2: return try Field(number: tag >> 3, value: .bytes(skip(integer(in: bytes))))
    case 5:
      _ = try skip(4)
      return Field(number: tag >> 3, value: .fixed)
    // Groups are obsolete.
    default: throw Self.malformed
    }
  }

  private mutating func skip(_ count: UInt64) throws(FormatProblem) -> Range<Int> {
    guard count <= UInt64(rest.count) else { throw Self.malformed }
    let part = rest.prefix(Int(count))
    rest = rest.dropFirst(Int(count))
    return part
  }

  /// A variable-length integer of at most ten bytes.
  private mutating func integer(in bytes: Span<UInt8>) throws(FormatProblem) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), through: 63, by: 7) {
      guard let index = rest.popFirst() else { throw Self.malformed }
      let byte = bytes[index]
      guard shift < 63 || byte < 2 else { throw Self.malformed }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw Self.malformed
  }
}
