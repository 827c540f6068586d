import HostAccess
import Testing

@testable import TwoFactorSetup

@Suite struct PictureTextTests {
  private func bytes(_ parts: String, _ more: [UInt8] = []) -> [UInt8] { Array(parts.utf8) + more }

  @Test func picturesAreRecognizedByTheirContent() {
    let pictures: [[UInt8]] = [
      [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0], [0xFF, 0xD8, 0xFF, 0xE0], bytes("GIF89a"),
      bytes("RIFF\u{1}\u{2}\u{3}\u{4}WEBPVP8L"), bytes("BM", [1, 2, 3, 4, 0, 0, 0, 0, 54, 0, 0, 0]), bytes("II*\0"),
      bytes("%PDF-1.4"), bytes("\0\0\0\u{18}ftypheic"), bytes("<svg xmlns"),
    ]
    for picture in pictures {
      let isPicture = PictureText.isPicture(picture.span)
      #expect(isPicture, "\(picture)")
    }
  }

  @Test(arguments: [
    "", "BMAAAAAAAAAAAAAA", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQ\n\" RATE_LIMIT 3 30\n",
    "<?xml version=\"1.0\"?>", "{}", "GIF", "RIFF", "HOTP/T30 alice - 3132",
  ])
  func textsAreNoPictures(text: String) {
    let isPicture = PictureText.isPicture(text.utf8.span)
    #expect(!isPicture)
  }

  @Test func picturesThatCannotBeReadAreRefusedByKind() throws {
    let error = #expect(throws: SetupError.self) {
      let pdf = bytes("%PDF-1.4")
      let text = try PictureText.read(pdf.span, source: "x.png")
      #expect(text.count == 0)
    }
    #expect(error?.status == .unusableData)
    #expect(error?.message == "x.png: pictures of this kind cannot be read")
  }
}
