import CQREncode
import CSetup

/// A QR code (ISO/IEC 18004): a square of dark and light modules, made by libqrencode.
struct QRCode {
  /// The length of a side in modules, without the quiet zone.
  let size: Int
  private let modules: [Bool]

  /// Whether this host has libqrencode.
  static var isAvailable: Bool { csetup_can_draw() == 1 }

  /// Encodes a text; nil where it is too long for a QR code, or where there is no libqrencode.
  ///
  /// The lowest level of error correction is taken: a screen has no scratches, and fewer modules fit on
  /// smaller ones.
  init?(_ text: String) {
    guard let code = unsafe QRcode_encodeString(text, 0, QR_ECLEVEL_L, QR_MODE_8, 1) else { return nil }
    defer { unsafe QRcode_free(code) }
    let size = unsafe Int(code.pointee.width)
    guard size > 0, let data = unsafe code.pointee.data else { return nil }
    self.size = size
    // qrencode.h: bit 0 of each byte is 1 where the module is dark.
    modules = (0..<size * size).map { unsafe data[$0] & 1 == 1 }
  }

  /// Whether the module is dark; what lies around the code is the quiet zone, and light.
  func isDark(row: Int, column: Int) -> Bool {
    guard row >= 0, row < size, column >= 0, column < size else { return false }
    return modules[row * size + column]
  }
}
