import CQREncode
import CSetup

/// A QR code (ISO/IEC 18004): a square of dark and light modules.
struct QRCode {
  /// In modules, without the quiet zone.
  let size: Int
  private let modules: [Bool]

  static var isAvailable: Bool { csetup_can_draw() == 1 }

  /// Encodes with the lowest error correction. Returns nil if the text is too long or libqrencode is not installed.
  init?(_ text: String) {
    // SAFETY: the code is freed after the copy of its `width` × `width` bytes.
    guard let code = unsafe QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1) else { return nil }
    defer { unsafe QRcode_free(code) }
    let size = unsafe Int(code.pointee.width)
    guard size > 0, let data = unsafe code.pointee.data else { return nil }
    self.size = size
    // Bit 0 means a dark module (qrencode.h).
    modules = (0..<size * size).map { unsafe data[$0] & 1 == 1 }
  }

  /// The quiet zone around the code is light.
  func isDark(row: Int, column: Int) -> Bool {
    guard row >= 0, row < size, column >= 0, column < size else { return false }
    return modules[row * size + column]
  }
}

struct QRImage {
  enum Format {
    case png
    case svg

    init?(path: String) {
      let name = path.lowercased()
      if name.hasSuffix(".png") {
        self = .png
      } else if name.hasSuffix(".svg") {
        self = .svg
      } else {
        return nil
      }
    }
  }

  /// The quiet zone in modules (ISO/IEC 18004), and the side of a module in pixels.
  private static let margin = 4
  private static let scale = 8

  let bytes: [UInt8]

  init(_ code: QRCode, format: Format) {
    bytes =
      switch format {
      case .png: Self.png(code)
      case .svg: Array(Self.svg(code).utf8)
      }
  }

  private static func svg(_ code: QRCode) -> String {
    let side = code.size + 2 * margin
    var path = ""
    for row in 0..<code.size {
      for column in 0..<code.size where code.isDark(row: row, column: column) {
        path += "M\(column + margin) \(row + margin)h1v1h-1z"
      }
    }
    return """
      \(svgStart) viewBox="0 0 \(side) \(side)" \
      width="\(side * scale)" height="\(side * scale)" \
      shape-rendering="crispEdges"><path fill="#fff" d="M0 0h\(side)v\(side)H0z"/><path fill="#000" d="\(path)"/></svg>

      """
  }

  /// One bit per pixel, uncompressed (ISO/IEC 15948).
  private static func png(_ code: QRCode) -> [UInt8] {
    let side = (code.size + 2 * margin) * scale
    var pixels: [UInt8] = []
    for y in 0..<side {
      var line = [UInt8](repeating: 0, count: (side + 7) / 8)
      for x in 0..<side where !code.isDark(row: y / scale - margin, column: x / scale - margin) {
        line[x / 8] |= 0x80 >> UInt8(x % 8)
      }
      pixels += [0] + line  // filter type 0: none
    }
    let header = bigEndian(UInt32(side)) + bigEndian(UInt32(side)) + [1, 0, 0, 0, 0]
    return pngStart + chunk("IHDR", header) + pngMark + chunk("IDAT", stored(pixels)) + chunk("IEND", [])
  }

  private static let svgStart = #"<svg xmlns="http://www.w3.org/2000/svg" data-creator="twofactor""#
  private static let pngStart: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
  /// A text chunk, with a keyword of the standard.
  private static let pngMark = chunk("tEXt", Array("Software\0twofactor".utf8))
  /// The length, type and checksum of a chunk, and the content of IHDR.
  private static let headerChunkLength = 12 + 13

  /// Whether a file that starts with these bytes is an image of this command.
  static func isOwn(_ start: [UInt8]) -> Bool {
    start.starts(with: Array(svgStart.utf8))
      || start.starts(with: pngStart) && start.dropFirst(pngStart.count + headerChunkLength).starts(with: pngMark)
  }

  private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let content = Array(type.utf8) + data
    return bigEndian(UInt32(data.count)) + content + bigEndian(crc(content))
  }

  /// A zlib stream (RFC 1950) of uncompressed blocks (RFC 1951 section 3.2.4).
  private static func stored(_ data: [UInt8]) -> [UInt8] {
    var result: [UInt8] = [0x78, 0x01]
    var rest = data[...]
    while true {
      let block = rest.prefix(65_535)
      rest = rest.dropFirst(block.count)
      let length = UInt16(block.count)
      let (low, high) = (UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8))
      result += [rest.isEmpty ? 1 : 0, low, high, ~low, ~high] + block
      if rest.isEmpty { break }
    }
    var (first, second): (UInt32, UInt32) = (1, 0)
    for byte in data {
      first = (first + UInt32(byte)) % 65_521
      second = (second + first) % 65_521
    }
    return result + bigEndian(second << 16 | first)
  }

  /// The checksum of a chunk (ISO/IEC 15948 section 5.5).
  private static func crc(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
