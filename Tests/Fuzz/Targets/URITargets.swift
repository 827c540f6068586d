import Enrollment
import FixedMemory
import KeyFormats
import OneTimePassword

/// A URI is refused, or is written as one that says the same and is written again as the same bytes. A device that is
/// written into other text or into an export is read as it was.
func fuzzURI(_ bytes: [UInt8]) {
  if let first = bytes.first, first < 8 { return fuzzWrittenDevice(WrittenDevice(bytes.dropFirst()), first) }
  do throws(FormatProblem) {
    let text = try OTPAuthURI(parsing: bytes.span).device.uri
    do throws(FormatProblem) {
      let again = try OTPAuthURI(parsing: text.utf8.span)
      require(again.otherParameters.isEmpty, "a URI with parameters that nobody wrote")
      require(again.device.uri == text, "a URI changes when it is read and written")
    } catch {
      fatalError("a URI that was written cannot be read")
    }
  } catch {
    require(!error.message.isEmpty && error.message.utf8.count < 128, "a problem without words")
  }
  fuzzURIsInText(bytes)
  if let key = try? SharedKey.typed(bytes.span) {
    for prefix in ["base32:", "hex:", "base64:"] {
      let again = try? SharedKey.typed((prefix + key.text(in: prefix)).utf8.span)
      require(again.map { $0.isEqual(to: key) } == true, "a key is another one when it is written and read")
    }
  }
}

private func fuzzURIsInText(_ bytes: [UInt8]) {
  do throws(FormatProblem) {
    if let decoded = try ImportedText.decoded(bytes.span) {
      require(
        String(validating: array(decoded.bytes), as: UTF8.self) != nil || bytes[0] == 0xEF, "no UTF-8 was written")
    }
    let lines = bytes.count { $0 == UInt8(ascii: "\n") } + 1
    for entry in try OTPAuthURI.entries(of: bytes.span) {
      require(entry.line.map { (1...lines).contains($0) } == true, "an account outside the text")
      switch entry.device {
      case .success(let device):
        require((try? OTPAuthURI(parsing: device.uri.utf8.span)) != nil, "a URI that was written cannot be read")
      case .failure(let problem):
        require(!problem.message.isEmpty && problem.message.utf8.count < 128, "a problem without words")
        require(problem.line == entry.line, "a problem in another line")
      }
    }
  } catch {
    require(!error.message.isEmpty && error.message.utf8.count < 128, "a problem without words")
  }
}

/// A device whose properties come from the bytes.
private struct WrittenDevice {
  let key: [UInt8]
  let isCounter: Bool
  let algorithm: Int
  let isLong: Bool
  let number: UInt64
  let name: String
  let style: UInt8

  init(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    let flags = rest.popFirst() ?? 0
    style = rest.popFirst() ?? 0
    (isCounter, algorithm, isLong) = (flags & 1 != 0, Int(flags >> 1 & 3) % 3, flags & 8 != 0)
    number = rest.prefix(4).reduce(0) { $0 << 8 | UInt64($1) }
    rest = rest.dropFirst(4)
    let length = 10 + Int(rest.popFirst() ?? 0) % 50
    key = Array(rest.prefix(length)) + Array(repeating: 7, count: max(0, length - rest.count))
    name = String(rest.dropFirst(length).prefix(20).map { Character(UnicodeScalar(0x61 + $0 % 26)) })
  }

  var period: UInt64 { 15 + number % 286 }

  /// In the Key URI Format, percent-encoded as little as possible.
  var uri: String {
    let secret = digitText(of: key, bits: 5, digits: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    let moving = isCounter ? "counter=\(number)" : "period=\(period)"
    let algorithm = ["SHA1", "SHA256", "SHA512"][algorithm]
    return "otpauth://\(isCounter ? "hotp" : "totp")/x:\(name)?secret=\(secret)&algorithm=\(algorithm)&\(moving)"
      + "&digits=\(isLong ? 8 : 6)"
  }

  /// A message of Google Authenticator's export.
  var message: [UInt8] {
    func integer(_ value: UInt64) -> [UInt8] {
      value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + integer(value >> 7)
    }
    func field(_ number: UInt64, _ bytes: [UInt8]) -> [UInt8] {
      integer(number << 3 | 2) + integer(UInt64(bytes.count)) + bytes
    }
    var account = field(1, key) + field(2, Array(name.utf8)) + field(3, Array("x".utf8))
    account += [0x20, UInt8(algorithm + 1), 0x28, isLong ? 2 : 1, 0x30, isCounter ? 1 : 2, 0x38] + integer(number)
    return field(1, account) + [0x10, 1]
  }

  func requireEqual(_ device: DeviceDraft, isExport: Bool) {
    let kind: Device.Kind =
      isCounter ? .hotp(counter: number) : .totp(period: isExport ? 30 : Int64(period))
    require(device.kind == kind && device.key.isEqual(to: key.span), "another key or kind was read")
    require(device.digits == (isLong ? .eight : .six), "other digits were read")
    require(device.algorithm == [.sha1, .sha256, .sha512][algorithm], "another algorithm was read")
    require(device.issuer == "x" && device.account == (name.isEmpty ? nil : name), "another name was read")
  }
}

private func fuzzWrittenDevice(_ device: WrittenDevice, _ form: UInt8) {
  let uri = device.uri
  let text: String
  switch form {
  case 0: text = "\"" + uri.with(["&": "&amp;", "=": "&#61;"]) + "\""
  case 1: text = "[{\"a\":\"" + uri.with(["&": "\\u0026", "=": "\\u003d", "/": "\\/"]) + "\",\"b\":1}]"
  case 2: text = "https://x/?a=" + uri.with(["&": "%26", "=": "%3D", "/": "%2F", ":": "%3a", "?": "%3f"]) + "&b=1"
  case 3: text = "> <" + uri + ">, and so on"
  case 4: text = "password\nQR-Code:\(uri)\r\nurl: https://x/"
  case 5: text = uri + "," + uri + " (twice)\n# \(uri)"
  default:
    var data = base64Text(device.message)
    if form == 7 { data = data.with(["+": "-", "/": "_", "=": ""]) }
    text = "otpauth-migration://offline?data=" + (form == 6 ? data.with(["+": "%2B", "/": "%2F", "=": "%3D"]) : data)
  }
  do throws(FormatProblem) {
    let entries = try entries(in: encoded(text, device.style))
    require(entries.count == 1, "another number of accounts was read")
    device.requireEqual(try entries[0].device.get(), isExport: form > 5)
  } catch {
    fatalError("a text that was written cannot be read: \(error.text)")
  }
}

/// The text in an encoding that the bytes choose.
private func encoded(_ text: String, _ style: UInt8) -> [UInt8] {
  let little = text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
  let big = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
  switch style % 6 {
  case 0: return Array(text.utf8)
  case 1: return [0xEF, 0xBB, 0xBF] + Array(text.utf8)
  case 2: return [0xFF, 0xFE] + little
  case 3: return [0xFE, 0xFF] + big
  case 4: return little
  default: return big
  }
}

/// The accounts in bytes of any encoding.
private func entries(in bytes: [UInt8]) throws(FormatProblem) -> [KeyEntry] {
  guard let decoded = try ImportedText.decoded(bytes.span) else { return try OTPAuthURI.entries(of: bytes.span) }
  return try OTPAuthURI.entries(of: decoded.bytes)
}

/// Without padding.
private func digitText(of bytes: [UInt8], bits width: Int, digits: String) -> String {
  let digits = Array(digits)
  let bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
  return String(
    stride(from: 0, to: bits.count, by: width).map { start in
      digits[(start..<start + width).reduce(0) { $0 << 1 | Int($1 < bits.count ? bits[$1] : 0) }]
    })
}

private func base64Text(_ bytes: [UInt8]) -> String {
  let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  return digitText(of: bytes, bits: 6, digits: digits) + String(repeating: "=", count: (3 - bytes.count % 3) % 3)
}

extension SharedKey {
  fileprivate func text(in prefix: String) -> String {
    withBytes { bytes in
      switch prefix {
      case "hex:": digitText(of: array(bytes), bits: 4, digits: "0123456789abcdef")
      case "base64:": base64Text(array(bytes))
      default: digitText(of: array(bytes), bits: 5, digits: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
      }
    }
  }
}

extension String {
  fileprivate func with(_ replacements: [Character: String]) -> String {
    map { replacements[$0] ?? String($0) }.joined()
  }
}
